"""The header's type is the only definition of its fields: what is written, and what is read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from tiny_runs import header
from toy import make_toy_suite, make_toy_task

from introspect_bench.benchmark.errors import IntegrityError
from introspect_bench.benchmark.records import ACCESS
from introspect_bench.benchmark.runs import header as definition
from introspect_bench.benchmark.runs.header import Header
from introspect_bench.benchmark.runs.run import read_run

Ask = Callable[..., Path]


def names(part: Any, prefix: str = "") -> tuple[set[str], set[str]]:
    """Fields that are always written, and all fields, with the objects around them."""
    always, known = set(), set()
    for field in dataclasses.fields(part):
        name, hint = f"{prefix}{field.name}", get_type_hints(part)[field.name]
        inner = names(hint, f"{name}.") if dataclasses.is_dataclass(hint) else ({name}, {name})
        known |= inner[1]
        always |= inner[0] if field.default is dataclasses.MISSING else set()
    return always, known


def written(line: Mapping[str, Any]) -> set[str]:
    """Fields of a header's line, down to objects that have no fixed fields."""
    parts = {name for name in get_type_hints(Header) if isinstance(line[name], dict)}
    found = {f"{name}.{key}" for name in parts - {"selftest"} for key in line[name]}
    return found | (line.keys() - parts) | {"selftest"}


def test_a_run_writes_the_fields_of_the_type_and_no_others(
    ask: Ask, scripted: Any, tmp_path: Path
) -> None:
    constants = {"kind", "schema"}
    always, known = names(Header)
    path = ask(scripted({}))
    plain = read_run(path).header.to_json()
    path.unlink()
    assert always <= written(plain) - constants <= known
    assert plain["access"] in ACCESS
    task = make_toy_task(uses_vector=True)
    suite = make_toy_suite(tmp_path / "public", task)
    suite.manifest["target"].update(source="hub", location="a/b", n_layers=2, d_model=4)
    full = read_run(ask(scripted({}), suite=suite, shuffled=True, limit=3)).header.to_json()
    assert {"explainer.shuffled_vectors", "target.source", "target.d_model"} <= written(full)
    assert written(full) - constants <= known
    assert Header.from_json(full, "x").to_json() == full


def test_every_field_is_described() -> None:
    text = Path(definition.__file__).read_text()
    parts: list[Any] = [
        one
        for one in vars(definition).values()
        if dataclasses.is_dataclass(one) and one.__module__ == definition.__name__
    ]
    assert len(parts) == 7
    for part in parts:
        assert part.__doc__
        own = text.partition(f"class {part.__name__}")[2].partition("\n\n\n")[0].splitlines()
        for field in dataclasses.fields(part):
            place = next(i for i, line in enumerate(own) if line.startswith(f"    {field.name}: "))
            assert "  # " in own[place] or own[place - 1].startswith("    # ")


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        (("env", "hostname"), "gpu-7", r"field env\.hostname is not one of a header"),
        (("user",), "ann", "field user is not one of a header"),
        (("selftest",), 7, "field selftest is missing or of the wrong type"),
        (("selftest", "patch"), None, "field selftest is missing or of the wrong type"),
        (("task", "n"), True, r"field task\.n is missing or of the wrong type"),
        (("task", "query_ids"), "all", r"field task\.query_ids is missing or"),
        (("package",), [], "field package is missing or not an object"),
        (("explainer", "no_vector"), 0, r"field explainer\.no_vector is missing or"),
        (("access",), "peeks", "field access is not one of words, runs-target, replays"),
    ],
)
def test_what_is_not_defined_is_refused(
    where: tuple[str, ...], value: object, message: str
) -> None:
    line = header()
    place: Any = line if len(where) == 1 else line[where[0]]
    place[where[-1]] = value
    with pytest.raises(IntegrityError, match=f"^run:1: {message}"):
        Header.from_json(line, "run:1")


@pytest.mark.parametrize("name", [name for name in header() if name not in ("kind", "schema")])
def test_what_is_always_written_must_be_there(name: str) -> None:
    line = header()
    assert Header.from_json(line, "run:1").to_json() == line
    del line[name]
    with pytest.raises(IntegrityError, match=f"^run:1: field {name} is missing"):
        Header.from_json(line, "run:1")
