"""Entries mutated by the types they are read by, and everybody who uses what was accepted."""

from __future__ import annotations

import json
import re
import shutil
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from hypothesis import strategies as st
from tiny_entries import Rows, forge

import introspect_bench as ib
from introspect_bench.benchmark.export import tables
from introspect_bench.benchmark.export.export import FORMS
from introspect_bench.benchmark.files import write_json_atomic
from introspect_bench.benchmark.records import ACCESS
from introspect_bench.benchmark.runs.header import Header
from introspect_bench.leaderboard.site.folder import board_build
from introspect_bench.leaderboard.submissions.comment import SCHEMA, read_report, render_comment
from introspect_bench.leaderboard.submissions.findings import worst_exit_code
from introspect_bench.leaderboard.submissions.schema import KINDS, EntryFields
from introspect_bench.leaderboard.submissions.validate import check_entry, validate_all

WORDS = (
    *("", " ", "abc", "toy", "test", "toy-target", "2026-19-39T25:61:61Z", "2026-02-30"),
    "ab" * 32,
    *("baseline/constant", "baseline/none", "0" * 32, "A\ufe0fnn", "A\U000e0100nn", "\ud800"),
    *("@name", "&#64;name", "www.example.org", "\x1b[31m", "a|b`c`", "$x^2$", "\\input{a}"),
    "x" * 500,
    *("@misc{a, title={b}}", "@misc{a, title={b}}}{", "@misc{a}\n@misc{a}", "\u202eabc"),
)
NUMBERS = (0, 1, -1, 12, 1 << 53, 10**18 - 1, 1e308, -1e308, 5e-324, 0.5, 2026)
SCALAR = st.sampled_from((*WORDS, *NUMBERS, None, True, False))
JSON: st.SearchStrategy[Any] = st.recursive(
    SCALAR,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3)
    ),
    max_leaves=5,
)
SETTINGS = st.dictionaries(
    st.sampled_from(("injection", "n_train", "decoding", "twin", "seed", "base", "own_code")),
    JSON | st.sampled_from(({"mode": "slot"}, "compared", {"input-ablations": 4})),
    max_size=3,
)


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """JSON values of a type, the unlikely ones among them."""
    kind, inner = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        own = get_type_hints(hint)
        return st.fixed_dictionaries({one.name: values_of(own[one.name]) for one in fields(hint)})
    if kind is types.UnionType:
        return st.one_of(*map(values_of, inner))
    if kind is Mapping:
        return SETTINGS if inner[1] is Any else st.dictionaries(values_of(str), values_of(inner[1]))
    if kind is not None:
        return st.lists(values_of(inner[0]), max_size=2)
    numbers = st.sampled_from([one for one in NUMBERS if hint is not int or type(one) is int])
    known = {str: st.sampled_from(WORDS), bool: st.booleans(), Any: JSON, type(None): st.none()}
    return known.get(hint, numbers)


def _places(record: type, prefix: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """Every field of a record, and of the records in it, with its type."""
    hints, found = get_type_hints(record), []
    for one in fields(record):
        place, hint = (*prefix, one.name), hints[one.name]
        found += [
            (place, hint),
            *(_places(hint, place) if isinstance(hint, type) and is_dataclass(hint) else []),
        ]
    return found


COST = ("seconds", "tokens_in", "tokens_out", "price")
FOOTER = [(("cost",), dict[str, float]), *((("cost", name), float) for name in COST)]
ROW: list[tuple[tuple[str, ...], Any]] = [
    *((("raw",), str), (("status",), str), (("prompt_sha",), str), (("parsed",), Any)),
    *(((name,), float | int) for name in ("n_in", "n_out", "ms", "i", "confidence")),
    *(((name,), float) for name in ("logprob_verdict", "logprob_reply")),
]
OBJECTS: Mapping[str, list[tuple[tuple[str, ...], Any]]] = {
    "entry": _places(EntryFields),
    "header": _places(Header),
    "row": ROW,
    "footer": [*FOOTER, (("claimed",), Any), (("counts",), Any)],
}
Change = tuple[str, tuple[str, ...], Any]  # object, place in it, new value


@st.composite
def changes(draw: st.DrawFn) -> list[Change]:
    """Draw one to three changes of an entry; half of the values are of the right type."""
    found = []
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(("entry", "header", "header", "row", "footer")))
        place, hint = draw(st.sampled_from(OBJECTS[name]))
        right = draw(st.integers(0, 3))
        special = {
            "access": ACCESS,
            "kind": (*KINDS, "local", "custom", "lm-eval", "endpoint"),
        }.get(place[-1])
        values = st.sampled_from(special) if special and right else values_of(hint)
        found.append((name, place, draw(values if right else JSON)))
    return found


def put(target: Any, place: tuple[str, ...], value: Any) -> None:
    """Set a value in objects in objects; nothing where a change before took the object away."""
    for name in place[:-1]:
        target = target.get(name) if isinstance(target, dict) else None
    if isinstance(target, dict):
        target[place[-1]] = value


def changed(folder: Path, wanted: list[Change]) -> Path:
    """Apply changes to an entry; header and footer of all its runs alike, one row of the first."""
    path = folder / "entry.json"
    said = json.loads(path.read_text("utf-8"))

    def edit(rows: Rows) -> None:
        lines = {"header": rows[0], "row": rows[1], "footer": rows[-1]}
        for name, place, value in wanted:
            if name in lines:
                put(lines[name], place, value)

    for name, place, value in wanted:
        if name == "entry":
            put(said, place, value)
    path.write_text(json.dumps(said))
    for name in sorted(run.name for run in folder.glob("*.jsonl")):
        folder = forge(folder, edit, name=name)
    return folder


def accepted(folder: Path, suite: str) -> bool:
    """Whether an entry passes; whatever is said of it, a comment on a pull request says it too."""
    checked = check_entry(folder, suite=suite)
    own = checked.as_json()
    code = worst_exit_code(checked.findings)
    head: dict[str, Any] = {"schema": SCHEMA, "lane": "automatic", "head": "ab" * 20}
    report = head | {"ok": not code, "exit_code": code, "labels": [], "findings": []}
    write_json_atomic(Path("report.json"), report | {"entry": own})
    text = render_comment(read_report(Path("report.json")), one_entry=True)
    assert not [sign for sign in ("@", "www.", "&#") if sign in re.sub("`[^`\n]+`", "", text)]
    return not code


def use_entry(folder: Path, suite: str) -> None:
    """Score, tabulate, export and cite every run of an entry."""
    paths = sorted(folder.glob("*.jsonl"))
    results = ib.score_all(paths, suite=suite)
    for table in (tables.markdown, tables.plain, tables.tex):
        assert table(results)
    for path in paths:
        assert ib.show(str(path), suite=suite)
        for form in FORMS:
            out = Path(f"exported-{form}")
            ib.export(path, form, suite=suite, out=out)
            shutil.rmtree(out) if out.is_dir() else out.unlink()
        for form in ("text", "bibtex", "cff"):
            assert ib.cite([str(path)], form=form)


def use_all(root: Path, suite: str) -> None:
    """Validate all entries, put them in one table, and build the page."""
    report = validate_all([root], suite=suite)
    assert report["ok"], report
    assert ib.score_table(sorted(root.glob("*/*/*.jsonl")), suite=suite)
    board_build(root, "site", suite=suite, use_cache=False)
