"""Names of predicates: how they are put together and taken apart.

A *property* is true of a unit by its text: `family:argument`, such as `word:during`. A relation
before it moves it elsewhere: `previous-word:the` holds right after the word `the`. *Places* are
properties of a position, such as `inside:quotation`, and take no relation. `piece:X` and
`previous-piece:X` speak about single tokens. Arguments hold no semicolon.
"""

from __future__ import annotations

from dataclasses import dataclass

from ....benchmark.errors import UsageError

PROPERTY_FAMILIES = (
    *("kind", "word", "clitic", "numeral", "mark", "break", "mark-kind", "number", "case"),
    *("list", "pos", "suffix", "prefix", "final", "initial", "length", "script", "lemma"),
    *("word-family", "noun-file", "verb-file", "attribute", "adjective-kind", "noun-category"),
    *("verb-category", "about", "domain"),
)
PLACE_FAMILIES = ("piece-place", "place", "inside", "line", "repeat", "name", "genre", "language")
PIECE_FAMILIES = ("piece", "previous-piece")

RELATIONS = {
    "previous": "the unit right before it has the property",
    "next": "the unit right after it has the property; unknown at the window's end, so false",
    "second-previous": "the unit two before it has the property",
    "lately": "one of the three units before it has the property",
    "sentence": "an earlier unit of the same sentence has the property",
    "earlier": "an earlier unit of the window has the property",
    "topic": "of the content words so far, at least two and at least a quarter have the property",
}
"""Relations and when they hold for a unit; spaces are no units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """Parts of a predicate's name."""

    relation: str  # one of `RELATIONS`, or empty
    family: str
    argument: str

    @property
    def base(self) -> str:
        """Name without the relation."""
        return f"{self.family}:{self.argument}"

    @property
    def kind(self) -> str:
        """Family with the relation before it."""
        return f"{self.relation}-{self.family}" if self.relation else self.family


def parse(name: str) -> Name:
    """Parts of a name, or `UsageError` if it is no name of a predicate."""
    head, colon, argument = name.partition(":")
    if colon and argument:
        if head in (*PROPERTY_FAMILIES, *PLACE_FAMILIES, *PIECE_FAMILIES):
            return Name(relation="", family=head, argument=argument)
        for relation in RELATIONS:
            family = head.removeprefix(relation + "-")
            if family != head and family in PROPERTY_FAMILIES:
                return Name(relation=relation, family=family, argument=argument)
    raise UsageError(f"{name!r} is not the name of a predicate")
