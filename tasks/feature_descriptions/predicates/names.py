"""Names of predicates: how they are put together, taken apart and said in English.

A *property* is true of a unit by its text: `family:argument`, such as `word:during`. A relation
before it moves it elsewhere: `previous-word:the` holds right after the word `the`. *Places* are
properties of a position, such as `inside:quotation`, and take no relation. `piece:X` and
`previous-piece:X` speak about single tokens. Arguments hold no semicolon.

Every predicate has a noun phrase for one thing that it holds for (`one`) and two for all of them
(`many`, `also`), from its name and `wordings.toml`; its wordings are made of those three.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ....benchmark.errors import UsageError
from .lexicon import shipped_lexicon
from .words import decode

PROPERTY_FAMILIES = (
    *("kind", "word", "clitic", "numeral", "mark", "break", "mark-kind", "number", "case"),
    *("list", "pos", "suffix", "prefix", "script", "lemma", "noun-file", "verb-file", "about"),
)
PLACE_FAMILIES = ("piece-place", "place", "inside", "line", "repeat", "name", "genre", "language")
PIECE_FAMILIES = ("piece", "previous-piece")

RELATIONS = {
    "previous": "the unit right before it has the property",
    "second-previous": "the unit two before it has the property",
    "lately": "one of the three units before it has the property",
    "sentence": "an earlier unit of the same sentence has the property",
    "earlier": "an earlier unit of the window has the property",
    "topic": "of the content words so far, at least two and at least a quarter have the property",
}
"""Relations and when they hold for a unit; spaces are no units."""
_RUN = "-run"  # end of the name of a mark that is repeated

Wording = tuple[str, str, str]
"""Noun phrase for one thing that a predicate holds for, and two noun phrases for all of them."""


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


@cache
def _tables() -> Mapping[str, Any]:
    return tomllib.loads(Path(__file__).with_name("wordings.toml").read_text("utf-8"))


@cache
def wordings(table: str) -> Mapping[str, Wording]:
    """Wordings or templates of one table.

    Tables: `unit` and `token` (places by name), `property` (properties by name), `family`,
    `relation` and `topic` (templates).
    """
    return {name: (one, many, also) for name, (one, many, also) in _tables()[table].items()}


def mark_name(text: str) -> str:
    """Name of a mark, by code point where it has none; a run of one is named after it."""
    if text in _tables()["mark"]:
        return str(_tables()["mark"][text][0])
    if len(text) > 1:
        return mark_name(text[0]) + _RUN
    return f"U+{ord(text):04X}"


def wording(text: str) -> Wording:
    """Noun phrases of a predicate by its name, or `UsageError` if there is no such predicate."""
    name = parse(text)
    if name.family in PLACE_FAMILIES:
        for level in ("unit", "token"):
            if text in wordings(level):
                return wordings(level)[text]
        raise UsageError(f"{text!r}: no such place")
    if not name.relation:
        return _property(name)
    if name.relation == "topic":
        if name.family not in wordings("topic"):
            raise UsageError(f"{text!r}: no topics of the family {name.family}")
        return _filled(wordings("topic")[name.family], _shown(name))
    return _filled(wordings("relation")[name.relation], _property(name)[0])


def phrases(text: str) -> tuple[str, ...]:
    """Distinct wordings of a predicate, up to four."""
    one, many, also = wording(text)
    return tuple(dict.fromkeys((many, also, f"activates on {many}", f"fires at {one}")))


def _filled(templates: Wording, text: str) -> Wording:
    one, many, also = (template.format(text) for template in templates)
    return one, many, also


def _property(name: Name) -> Wording:
    fixed, lists, family = wordings("property"), shipped_lexicon().lists, name.family
    if name.base in fixed:
        return fixed[name.base]
    if family == "list" and name.argument in lists:
        return lists[name.argument].one, *lists[name.argument].many
    if family == "mark":
        return _mark(name.argument)
    if family == "number" and name.argument.startswith("year-"):
        return _year(name.argument)
    if family in wordings("family"):
        return _filled(wordings("family")[family], _shown(name))
    raise UsageError(f"{name.base!r}: no such {name.family}")


def _shown(name: Name) -> str:
    """What stands in the templates for the argument of a name."""
    argument = name.argument
    known: Mapping[str, str] = _tables()["shown"].get(name.family, {})
    if argument in known:
        return known[argument]
    if name.family in PIECE_FAMILIES:
        return repr(decode(argument))
    categories = shipped_lexicon().categories.get(name.family)
    if categories is None:
        return argument
    if argument not in categories:
        raise UsageError(f"{name.base!r}: no such category in the lexicon")
    return argument.replace("_", " ")


def _mark(argument: str) -> Wording:
    base = argument.removesuffix(_RUN)
    known = {name: (one, many) for name, one, many in _tables()["mark"].values()}
    if base not in known:
        one, many, also = f"the character {base}", f"the sign {base}", f"occurrences of {base}"
        runs = f"a run of the character {base}", f"runs of the character {base}", f"{base} in a row"
        return (one, many, also) if base == argument else runs
    one, many = known[base]
    if base == argument:
        return one, many, f"occurrences of {one}"
    return f"a run of several {many}", f"runs of several {many}", f"{many} in a row"


def _year(argument: str) -> Wording:
    """Wording of years of a century (`year-19xx`) or decade (`year-198x`)."""
    digits = argument.removeprefix("year-").rstrip("x")
    if len(digits) == 3:
        return f"a year of the {digits}0s", f"years from {digits}0 to {digits}9", f"the {digits}0s"
    return (
        f"a year from {digits}00 to {digits}99",
        f"years that begin with {digits}",
        f"years of the century from {digits}00 on",
    )
