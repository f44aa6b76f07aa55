"""`entry.json` as one typed record: what a submission says about itself, a rule for each field.

`entry.schema.json` is what `entry_schema` returns. The rules that matter (look-alike letters, where
a link leads) have no form in JSON Schema, so the reader is stricter than the schema.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any

from ...benchmark.records import ACCESS
from .text_rules import (
    LINK,
    MAX_BIBTEX,
    MAX_LINK,
    NAME,
    bibtex_problem,
    contact_problem,
    link_problem,
    name_problem,
    text_problem,
)

SCHEMA = "introspect-bench/entry/1"
KINDS = ("trained", "untrained", "baseline", "oracle")
OWN_KINDS = ("baseline", "oracle")
"""Kinds of the benchmark's own, which a run file and `entry.json` must agree about."""
LINKS = ("paper", "code", "model")
DECLARED: Mapping[str, str] = {
    "no_test_training": (
        "nothing was trained on validation or test queries, or chosen on test queries"
    ),
    "replies_unedited": "every reply is what the explainer said, once per query",
    "attempts_counted": "attempts counts every run on these queries, also those not submitted",
    "may_publish": "the run files may be published under CC-BY-4.0",
}
"""Statements of `declared`; a submission needs all of them to be true."""
FOLDER = re.compile(r"[a-z0-9][a-z0-9._-]{0,80}")  # names of folders under `submissions/`
ENTRY_ID = re.compile(
    r"(?P<org>[a-z0-9](?:[a-z0-9.-]|_(?!_)){0,29})__"
    r"(?P<name>[a-z0-9](?:[a-z0-9.-]|_(?!_)){0,38})__(?P<body>[0-9a-f]{8})"
)
"""Names of entries: organisation, name, 8 digits of a hash of the replies."""

_TARGET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LICENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,63}")
_DATE = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}")

Problem = str | None
Check = Callable[[Any], Problem]  # says what is wrong with a value, a sentence without subject


def rule(check: Check, schema: Mapping[str, Any] | None = None, **default: Any) -> Any:
    """Return a field of a record that is read from JSON, checked, and published as `schema`."""
    return field(**default, metadata={"check": check, "schema": schema})


def problems_of(
    record: type, values: Mapping[str, Any], *, optional: Container[str] = ()
) -> list[tuple[str, str]]:
    """Return the fields that are wrong for a record, missing or unknown, with what is wrong."""
    checks = {one.name: one.metadata["check"] for one in fields(record) if one.metadata}
    wrong = [(n, "is missing") for n in checks if n not in values and n not in optional]
    wrong += [(name, "is not a field that is known") for name in values if name not in checks]
    found = ((name, check(values[name])) for name, check in checks.items() if name in values)
    return wrong + [(name, problem) for name, problem in found if problem]


def is_text(check: Callable[[str], Problem]) -> Check:
    """Return a check of a value that must be text."""
    return lambda value: check(value) if isinstance(value, str) else "is not text"


def matching(pattern: re.Pattern[str], what: str) -> Check:
    """Return a check that all of a text fits a pattern."""
    return is_text(lambda text: None if pattern.fullmatch(text) else f"is not {what}")


def one_of(values: Sequence[str]) -> Check:
    """Return a check that a value is one of some texts."""
    known = " or ".join(values)
    return lambda value: None if value in values else f"is not {known}"


def date_problem(text: str) -> Problem:
    """Say what is wrong with a day."""
    try:
        if _DATE.fullmatch(text) and datetime.date.fromisoformat(text):
            return None
    except ValueError:
        pass
    return "is not a day such as 2026-01-31"


def _text(
    about: str,
    check: Callable[[str], Problem],
    pattern: re.Pattern[str] | None = None,
    *,
    optional: bool = False,
    **limits: int,
) -> Any:
    schema: dict[str, Any] = {"description": about, "type": "string", **limits}
    if pattern is not None:
        schema["pattern"] = _anchored(pattern)
    return rule(is_text(check), schema, **({"default": None} if optional else {}))


def _name(about: str, most: int) -> Any:
    check = partial(name_problem, max_chars=most)
    return _text(about, check, NAME, minLength=1, maxLength=most)


def _one_of(about: str, values: Sequence[str]) -> Any:
    return rule(one_of(values), {"description": about, "enum": list(values)})


def _texts(about: str, least: int, most: int, max_chars: int) -> Any:
    member = is_text(lambda text: text_problem(text, max_chars=max_chars))

    def check(value: Any) -> Problem:
        if not isinstance(value, list) or not least <= len(value) <= most:
            return f"is not a list of {least} to {most} texts"
        problem = next(filter(None, map(member, value)), None)
        return f"has a member that {problem}" if problem else None

    items = {"type": "string", "minLength": 1, "maxLength": max_chars}
    schema = {"description": about, "type": "array", "minItems": least, "maxItems": most}
    return rule(check, schema | {"items": items})


def _whole(about: str, least: int, most: int, *, null: bool = False, **default: Any) -> Any:
    def check(value: Any) -> Problem:
        if (null and value is None) or (type(value) is int and least <= value <= most):
            return None
        return f"is not a whole number from {least} to {most}"

    kind = ["integer", "null"] if null else "integer"
    limits = {"description": about, "type": kind, "minimum": least, "maximum": most}
    return rule(check, limits, **default)


def _links(value: Any) -> Problem:
    if not isinstance(value, dict) or not value.keys() <= set(LINKS):
        return f"is not an object with only {', '.join(LINKS)}"
    found = ((name, is_text(link_problem)(link)) for name, link in value.items())
    return next((f"has a {name} that {problem}" for name, problem in found if problem), None)


def _declared(value: Any) -> Problem:
    if not isinstance(value, dict) or value.keys() != DECLARED.keys():
        return f"is not an object with exactly {', '.join(DECLARED)}"
    missing = (name for name in DECLARED if value[name] is not True)
    said = (f"does not state {name} (true means: {DECLARED[name]})" for name in missing)
    return next(said, None)


def _object(check: Check, about: str, properties: Mapping[str, Any], **more: Any) -> Any:
    schema = {"description": about, "type": "object", "additionalProperties": False, **more}
    return rule(check, schema | {"properties": properties})


def _anchored(pattern: re.Pattern[str]) -> str:
    return f"^(?:{re.sub('[?]P<[a-z]+>', '', pattern.pattern)})$"


_LINK = {"type": "string", "maxLength": MAX_LINK, "pattern": _anchored(LINK)}
_STATEMENTS = {
    name: {"const": True, "description": f"{said[0].upper()}{said[1:]}."}
    for name, said in DECLARED.items()
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFields:
    """What `entry.json` holds; every field is checked, and a stranger's text all the same."""

    schema: str = rule(one_of([SCHEMA]), {"const": SCHEMA})
    name: str = _name("Name on the board, ASCII.", 60)
    org: str = _name("Who submits; the folder's name begins with it.", 30)
    kind: str = _one_of(
        "trained to explain, untrained, one of the benchmark's baselines, or an oracle that is "
        "told what others are not.",
        KINDS,
    )
    access: str = _one_of(
        "How its answers are come by: the widest class of its runs, which the benchmark sets; of "
        "user code, what the submitter declares.",
        ACCESS,
    )
    authors: Sequence[str] = _texts("Names of people.", 1, 50, 80)
    contact: str = _text(
        "E-mail address, https address, or `issues of this repository`.",
        contact_problem,
        minLength=1,
        maxLength=300,
    )
    links: Mapping[str, str] = _object(_links, "Addresses.", dict.fromkeys(LINKS, _LINK))
    licence: str = _text(
        "SPDX id of the explainer's licence.",
        matching(_LICENCE, "an SPDX licence such as Apache-2.0"),
        _LICENCE,
    )
    trained_on: Sequence[str] = _texts(
        "Sentences about all training data; not empty if kind is trained.", 0, 20, 300
    )
    attempts: int = _whole("Runs on these queries, also those not submitted.", 1, 1_000_000)
    parameters: int | None = _whole(
        "Parameters of the explainer, null if it has none.", 0, 10**15, null=True
    )
    date: str = _text("Day of the newest run.", date_problem, _DATE)
    bibtex: str = _text("BibTeX record, or nothing.", bibtex_problem, maxLength=MAX_BIBTEX)
    declared: Mapping[str, bool] = _object(
        _declared, "What the submitter states.", _STATEMENTS, required=list(DECLARED)
    )
    vector_use: str | None = _text(
        "Id of the entry of the same explainer that was run without vectors.",
        matching(ENTRY_ID, "the id of an entry"),
        ENTRY_ID,
        optional=True,
    )
    base: str | None = _text(
        "Name of the target model that the explainer was made from, if it is one: who it explains "
        "as itself.",
        matching(_TARGET, "the name of a target model"),
        _TARGET,
        optional=True,
    )
    n_train: int | None = _whole(
        "Number of training queries the explainer learnt from.", 0, 10**12, default=None
    )


OPTIONAL = ("vector_use", "base", "n_train")
REQUIRED = tuple(one.name for one in fields(EntryFields) if one.name not in OPTIONAL)


def field_problems(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the fields of `entry.json` that are wrong, each with a sentence without subject."""
    problems = problems_of(EntryFields, values, optional=OPTIONAL)
    if not problems and values["kind"] == "trained" and not values["trained_on"]:
        problems.append(("trained_on", "is empty, but the entry is trained"))
    return problems


def entry_schema() -> dict[str, Any]:
    """Return `entry.schema.json`: the rules as far as JSON Schema can say them."""
    about = (
        "entry.json of a submission. The reader is stricter than this: texts hold no invisible "
        "characters, no word mixes alphabets, links lead to hosts that "
        "leaderboard/submissions/text_rules.py lists, and every statement of declared is true."
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Entry of introspect-bench",
        "description": about,
        "type": "object",
        "additionalProperties": False,
        "required": list(REQUIRED),
        "properties": {one.name: one.metadata["schema"] for one in fields(EntryFields)},
        "if": {"properties": {"kind": {"const": "trained"}}},
        "then": {"properties": {"trained_on": {"minItems": 1}}},
    }


def org_of(entry: str) -> str:
    """Return the organisation in the id of an entry; empty if it is no id."""
    match = ENTRY_ID.fullmatch(entry)
    return match["org"] if match else ""


def slug(text: str) -> str:
    """Return a name as it stands in a folder's name: lower case, other signs become `-`."""
    return re.sub(r"__+", "_", re.sub(r"[^a-z0-9._-]+", "-", text.lower())).strip("-._")
