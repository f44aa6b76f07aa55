"""The published schema and the reader of entry.json agree as far as a schema can say it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import introspect_bench.leaderboard
from introspect_bench.leaderboard.submissions.schema import (
    DECLARED,
    REQUIRED,
    SCHEMA,
    entry_schema,
    field_problems,
)
from introspect_bench.leaderboard.submissions.text_rules import HOSTS, link_problem

PATH = Path(introspect_bench.leaderboard.__file__).parent / "entry.schema.json"
PUBLISHED = jsonschema.Draft202012Validator(json.loads(PATH.read_text()))
SOUND: dict[str, Any] = {
    "schema": SCHEMA,
    "name": "Model-1 (8B)",
    "org": "Acme Labs",
    "kind": "trained",
    "access": "words",
    "authors": ["Ann Ångström", "李明"],
    "contact": "ann@acme.example",
    "links": {"paper": "https://arxiv.org/abs/2511.08579", "code": "https://www.github.com/a/b"},
    "licence": "Apache-2.0",
    "trained_on": ["The train split of smollm2-135m."],
    "attempts": 2,
    "parameters": 8_000_000_000,
    "date": "2026-11-25",
    "bibtex": "@misc{a,\n  title={An {A}}\n}",
    "declared": dict.fromkeys(DECLARED, True),
    "vector_use": "acme-labs__model-1-no-vector__01234567",
}


def fits(fields: dict[str, Any]) -> bool:
    return bool(PUBLISHED.is_valid(fields))


def test_the_schema_is_a_schema_and_sound_fields_fit_it() -> None:
    jsonschema.Draft202012Validator.check_schema(PUBLISHED.schema)
    assert field_problems(SOUND) == []
    assert fits(SOUND)
    assert PATH.read_text() == json.dumps(entry_schema(), indent=2) + "\n"
    assert set(REQUIRED) == set(PUBLISHED.schema["required"])


@pytest.mark.parametrize("name", REQUIRED)
def test_both_refuse_what_lacks_a_field(name: str) -> None:
    less = {key: value for key, value in SOUND.items() if key != name}
    assert field_problems(less) == [(name, "is missing")]
    assert not fits(less)


WRONG: tuple[tuple[str, Any], ...] = (
    ("schema", "introspect-bench/entry/2"),
    ("access", "introspection"),
    ("name", ""),
    ("name", "a" * 61),
    ("name", "<b>"),
    ("name", 7),
    ("org", "a" * 31),
    ("kind", "champion"),
    ("authors", []),
    ("authors", ["a"] * 51),
    ("authors", [1]),
    ("links", {"home": "https://github.com"}),
    ("links", {"code": "javascript:alert(1)"}),
    ("links", {"code": "https://user@github.com/"}),
    ("links", {"code": "https://github.com:80/"}),
    ("links", ["https://github.com"]),
    ("licence", "MIT or so"),
    ("trained_on", []),
    ("trained_on", "everything"),
    ("attempts", 0),
    ("attempts", 1.5),
    ("attempts", True),
    ("parameters", -1),
    ("parameters", "8B"),
    ("date", "25.11.2026"),
    ("bibtex", None),
    ("declared", {}),
    ("declared", dict.fromkeys(DECLARED, True) | {"more": True}),
    ("declared", dict.fromkeys(DECLARED, False)),
    ("vector_use", "../x"),
    ("score", 1.0),
)


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_both_refuse_what_is_wrong(name: str, value: Any) -> None:
    fields = SOUND | {name: value}
    assert [key for key, _ in field_problems(fields)] == [name]
    assert not fits(fields)


STRICTER: tuple[tuple[str, Any], ...] = (
    ("links", {"code": "https://github.com.evil.example/"}),
    ("links", {"code": "https://127.0.0.1/"}),
    ("links", {"code": "https://xn--gthub-n4a.com/"}),
    ("authors", ["\u0410nn"]),
    ("authors", ["A\u200bnn"]),
    ("authors", ["\uff21nn"]),
    ("authors", ["\u2800"]),
    ("contact", "somebody"),
    ("date", "2026-02-30"),
    ("bibtex", "@misc{a, b={\\write18{x}}}"),
    ("bibtex", "@misc{a"),
    ("bibtex", "no record"),
)


@pytest.mark.parametrize(
    "contact", ["ann@acme.example", "https://github.com/acme", "issues of this repository"]
)
def test_a_contact_is_a_mail_a_link_or_the_repository(contact: str) -> None:
    fields = SOUND | {"contact": contact}
    assert field_problems(fields) == []
    assert PUBLISHED.is_valid(fields)


@pytest.mark.parametrize("host", sorted(HOSTS | {"zenodo.org"}))
def test_every_host_of_the_list_is_linked_to(host: str) -> None:
    assert link_problem(f"https://{host}/x") is None
    assert "." in host.strip(".")


@pytest.mark.parametrize(("name", "value"), STRICTER)
def test_the_reader_also_refuses_what_a_schema_cannot_say(name: str, value: Any) -> None:
    assert [key for key, _ in field_problems(SOUND | {name: value})] == [name]


SCALAR = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=80)
)
JSON: st.SearchStrategy[Any] = st.deferred(
    lambda: (
        SCALAR | st.lists(JSON, max_size=3) | st.dictionaries(st.text(max_size=9), JSON, max_size=3)
    )
)


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(sorted(SOUND)), value=JSON)
def test_what_the_reader_takes_fits_the_schema(name: str, value: Any) -> None:
    fields = SOUND | {name: value}
    assert field_problems(fields) or fits(fields)
