"""Names of predicates: how they are put together and taken apart.

A *property* is true of a unit by its text: ``family:argument``, such as ``word:during``. A relation
before it moves it elsewhere: ``previous-word:the`` holds right after the word ``the``. *Places* are
properties of a position, such as ``inside:quotation``, and take no relation. ``piece:X`` and
``previous-piece:X`` speak about single tokens. ``and(A,B)`` and ``or(A,B)`` join two names that are
not themselves joined. Arguments hold no comma and only balanced parentheses.
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
"""Families of properties."""

PLACE_FAMILIES = (
    *("piece-place", "place", "inside", "line", "repeat", "name", "genre", "language"),
)
"""Families of places."""

PIECE_FAMILIES = ("piece", "previous-piece")
"""Families of single tokens."""

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

JOINS = ("and", "or")
"""Ways to join two predicates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """Parts of the name of a predicate that is not joined."""

    relation: str
    """One of `RELATIONS`, or empty."""
    family: str
    """Family of the property, place or piece."""
    argument: str
    """What comes after the colon."""

    @property
    def base(self) -> str:
        """Name without the relation."""
        return f"{self.family}:{self.argument}"

    @property
    def kind(self) -> str:
        """Family with the relation before it."""
        return f"{self.relation}-{self.family}" if self.relation else self.family


def parse(name: str) -> Name:
    """Parts of a name.

    Raises:
        UsageError: if it is no name of a predicate, or a joined one.
    """
    head, colon, argument = name.partition(":")
    if colon and argument and not name.startswith(tuple(f"{join}(" for join in JOINS)):
        if head in (*PROPERTY_FAMILIES, *PLACE_FAMILIES, *PIECE_FAMILIES):
            return Name(relation="", family=head, argument=argument)
        for relation in RELATIONS:
            family = head.removeprefix(relation + "-")
            if family != head and family in PROPERTY_FAMILIES:
                return Name(relation=relation, family=family, argument=argument)
    raise UsageError(f"{name!r} is not the name of a predicate")


def join(kind: str, a: str, b: str) -> str:
    """Name of two joined predicates; their order does not matter.

    Raises:
        UsageError: if the kind is unknown, the two are the same or one is joined itself.
    """
    if kind not in JOINS:
        raise UsageError(f"predicates are joined by {' or '.join(JOINS)}, not {kind!r}")
    parse(a)
    parse(b)
    if a == b:
        raise UsageError(f"{a!r} cannot be joined with itself")
    return f"{kind}({min(a, b)},{max(a, b)})"


def split(name: str) -> tuple[str, str, str] | None:
    """Kind and two names of a joined name, None if it is not joined.

    Raises:
        UsageError: if it begins as a joined name and is none.
    """
    kind, bracket, rest = name.partition("(")
    if kind not in JOINS or not bracket:
        return None
    body, depth = rest[:-1], 0
    for n, character in enumerate(body):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0 and join(kind, body[:n], body[n + 1 :]) == name:
            return kind, body[:n], body[n + 1 :]
    raise UsageError(f"{name!r} is not two names joined in alphabetical order")
