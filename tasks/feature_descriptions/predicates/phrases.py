"""English wordings of predicates, made from their names and `wordings.toml`.

Every predicate has a noun phrase for one thing that it holds for (`one`) and two for all of them
(`many`, `also`); the wordings are made of those three. No two predicates share a wording, which
`library.build_library` checks.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from ....benchmark.errors import UsageError
from .lexicon import Lexicon
from .marks import MARKS
from .names import PIECE_FAMILIES, PLACE_FAMILIES, Name, parse
from .words import decode

Wording = tuple[str, str, str]
"""Noun phrase for one thing that a predicate holds for, and two noun phrases for all of them."""

_SPLIT_MARK = "-run"


@cache
def _tables() -> Mapping[str, Any]:
    package = "introspect_bench.tasks.feature_descriptions.predicates"
    return tomllib.loads(resources.files(package).joinpath("wordings.toml").read_text("utf-8"))


@cache
def wordings(table: str) -> Mapping[str, Wording]:
    """Wordings or templates of one table.

    Tables: `unit` and `token` (places by name), `property` (properties by name), `family`,
    `relation` and `topic` (templates).
    """
    return {name: (one, many, also) for name, (one, many, also) in _tables()[table].items()}


def _filled(templates: Wording, text: str) -> Wording:
    one, many, also = (template.format(text) for template in templates)
    return one, many, also


def _shown(name: Name, lexicon: Lexicon) -> str:
    """What stands in the templates for the argument of a name."""
    argument = name.argument
    known: Mapping[str, str] = _tables()["shown"].get(name.family, {})
    if argument in known:
        return known[argument]
    if name.family in PIECE_FAMILIES:
        return repr(decode(argument))
    if name.family in lexicon.categories:
        if argument not in lexicon.categories[name.family]:
            raise UsageError(f"{name.base!r}: no such category in the lexicon")
        return lexicon.categories[name.family][argument].name.replace("_", " ")
    return argument


def _mark(argument: str) -> Wording:
    for name, one, many in MARKS.values():
        if argument == name:
            return one, many, f"occurrences of {one}"
        if argument == name + _SPLIT_MARK:
            return f"a run of several {many}", f"runs of several {many}", f"{many} in a row"
    if argument.endswith(_SPLIT_MARK):
        code = argument.removesuffix(_SPLIT_MARK)
        return f"a run of the character {code}", f"runs of the character {code}", f"{code} in a row"
    return f"the character {argument}", f"the sign {argument}", f"occurrences of {argument}"


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


def _property(name: Name, lexicon: Lexicon) -> Wording:
    fixed = wordings("property")
    if name.base in fixed:
        return fixed[name.base]
    if name.family == "list" and name.argument in lexicon.lists:
        entry = lexicon.lists[name.argument]
        return entry.one, *entry.many
    if name.family == "mark":
        return _mark(name.argument)
    if name.family == "number" and name.argument.startswith("year-"):
        return _year(name.argument)
    text = _shown(name, lexicon)
    family = name.family
    if family == "noun-category" and lexicon.categories[family][name.argument].proper:
        family = "proper-category"
    if family in wordings("family"):
        return _filled(wordings("family")[family], text)
    raise UsageError(f"{name.base!r}: no such {name.family}")


def wording(text: str, lexicon: Lexicon) -> Wording:
    """Noun phrases of a predicate by its name, or `UsageError` if there is no such predicate."""
    name = parse(text)
    if name.family in PLACE_FAMILIES:
        for level in ("unit", "token"):
            if text in wordings(level):
                return wordings(level)[text]
        raise UsageError(f"{text!r}: no such place")
    if not name.relation:
        return _property(name, lexicon)
    if name.relation == "topic":
        if name.family not in wordings("topic"):
            raise UsageError(f"{text!r}: no topics of the family {name.family}")
        return _filled(wordings("topic")[name.family], _shown(name, lexicon))
    return _filled(wordings("relation")[name.relation], _property(name, lexicon)[0])


def phrases(text: str, lexicon: Lexicon) -> tuple[str, ...]:
    """Distinct wordings of a predicate, up to four."""
    one, many, also = wording(text, lexicon)
    return tuple(dict.fromkeys((many, also, f"activates on {many}", f"fires at {one}")))
