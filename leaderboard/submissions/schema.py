"""`entry.json`: what a submission says about itself, field by field.

Owns the rules, which `entry.schema.json` publishes; a test holds the two together. A small reader
instead of a schema library: the file is read by every command that shows a board, and the rules
that matter (look-alike letters, where a link leads) have no form in JSON Schema.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from typing import Any

from ...benchmark.records import ACCESS
from .text_rules import bibtex_problem, contact_problem, link_problem, name_problem, text_problem

SCHEMA = "introspect-bench/entry/1"
"""Value of `schema`."""
KINDS = ("trained", "untrained", "baseline", "oracle")
"""Values of `kind`."""
LINKS = ("paper", "code", "model")
"""Keys of `links`."""
DECLARED: Mapping[str, str] = {
    "no_test_training": (
        "nothing was trained on validation or test queries, or chosen on test queries"
    ),
    "replies_unedited": "every reply is what the explainer said, once per query",
    "attempts_counted": "attempts counts every run on these queries, also those not submitted",
    "may_publish": "the run files may be published under CC-BY-4.0",
}
"""Statements of `declared`; a submission needs all of them to be true."""
REQUIRED = (
    "schema",
    "name",
    "org",
    "kind",
    "access",
    "authors",
    "contact",
    "links",
    "licence",
    "trained_on",
    "attempts",
    "parameters",
    "date",
    "bibtex",
    "declared",
)
"""Fields that every entry has."""
OPTIONAL = ("vector_use", "base", "n_train")
"""Fields that an entry may have."""
MAX_NAME = 60
"""Longest display name."""
MAX_ORG = 30
"""Longest name of an organisation."""
FOLDER = re.compile(r"[a-z0-9][a-z0-9._-]{0,80}")
"""Names of folders and files under `submissions/`."""
ENTRY_ID = re.compile(
    r"(?P<org>[a-z0-9](?:[a-z0-9.-]|_(?!_)){0,29})__"
    r"(?P<name>[a-z0-9](?:[a-z0-9.-]|_(?!_)){0,38})__(?P<body>[0-9a-f]{8})"
)
"""Names of entries: organisation, name, 8 digits of a hash of the replies."""

_TARGET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LICENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,63}")
_DATE = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}")

Problem = str | None


def field_problems(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the fields of `entry.json` that are wrong, each with a sentence without subject."""
    problems = [(name, "is missing") for name in REQUIRED if name not in fields]
    problems += [(name, "is not a field of an entry") for name in fields if name not in _CHECKS]
    for name, check in _CHECKS.items():
        if name in fields and (problem := check(fields[name])):
            problems.append((name, problem))
    if not problems and fields["kind"] == "trained" and not fields["trained_on"]:
        problems.append(("trained_on", "is empty, but the entry is trained"))
    return problems


def slug(text: str) -> str:
    """Return a name as it stands in a folder's name: lower case, other signs become `-`."""
    return re.sub(r"__+", "_", re.sub(r"[^a-z0-9._-]+", "-", text.lower())).strip("-._")


def _is_text(check: Callable[[str], Problem]) -> Callable[[Any], Problem]:
    def checked(value: Any) -> Problem:
        return check(value) if isinstance(value, str) else "is not text"

    return checked


def _one_of(*values: str) -> Callable[[Any], Problem]:
    def checked(value: Any) -> Problem:
        known = isinstance(value, str) and value in values
        return None if known else f"is not {' or '.join(values)}"

    return checked


def _texts(least: int, most: int, max_chars: int) -> Callable[[Any], Problem]:
    def checked(value: Any) -> Problem:
        if not isinstance(value, list) or not least <= len(value) <= most:
            return f"is not a list of {least} to {most} texts"
        for one in value:
            problem = (
                text_problem(one, max_chars=max_chars) if isinstance(one, str) else "is no text"
            )
            if problem:
                return f"has a member that {problem}"
        return None

    return checked


def _whole(least: int, most: int) -> Callable[[Any], Problem]:
    def checked(value: Any) -> Problem:
        if type(value) is not int or not least <= value <= most:
            return f"is not a whole number from {least} to {most}"
        return None

    return checked


def _links(value: Any) -> Problem:
    if not isinstance(value, dict) or not value.keys() <= set(LINKS):
        return f"is not an object with only {', '.join(LINKS)}"
    for name, link in value.items():
        problem = link_problem(link) if isinstance(link, str) else "is not text"
        if problem:
            return f"has a {name} that {problem}"
    return None


def _declared(value: Any) -> Problem:
    if not isinstance(value, dict) or value.keys() != DECLARED.keys():
        return f"is not an object with exactly {', '.join(DECLARED)}"
    for name, sentence in DECLARED.items():
        if value[name] is not True:
            return f"does not state {name} (true means: {sentence})"
    return None


def _date(value: str) -> Problem:
    try:
        if _DATE.fullmatch(value) and datetime.date.fromisoformat(value):
            return None
    except ValueError:
        pass
    return "is not a day such as 2026-01-31"


def _parameters(value: Any) -> Problem:
    return None if value is None else _whole(0, 10**15)(value)


def _pattern(pattern: re.Pattern[str], what: str) -> Callable[[str], Problem]:
    def checked(value: str) -> Problem:
        return None if pattern.fullmatch(value) else f"is not {what}"

    return checked


_CHECKS: dict[str, Callable[[Any], Problem]] = {
    "schema": _one_of(SCHEMA),
    "name": _is_text(lambda value: name_problem(value, max_chars=MAX_NAME)),
    "org": _is_text(lambda value: name_problem(value, max_chars=MAX_ORG)),
    "kind": _one_of(*KINDS),
    "access": _one_of(*ACCESS),
    "authors": _texts(1, 50, 80),
    "contact": _is_text(contact_problem),
    "links": _links,
    "licence": _is_text(_pattern(_LICENCE, "an SPDX licence such as Apache-2.0")),
    "trained_on": _texts(0, 20, 300),
    "attempts": _whole(1, 1_000_000),
    "parameters": _parameters,
    "date": _is_text(_date),
    "bibtex": _is_text(lambda value: bibtex_problem(value) if value else None),
    "declared": _declared,
    "vector_use": _is_text(_pattern(ENTRY_ID, "the id of an entry")),
    "base": _is_text(_pattern(_TARGET, "the name of a target model")),
    "n_train": _whole(0, 10**12),
}
