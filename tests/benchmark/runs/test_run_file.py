"""Reading run files: a torn end is an incomplete run, any other damage is named."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import N, header, pred, save

from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.runs.run import encode_line, first_difference, read_run


def footer(body: bytes, **fields: object) -> dict[str, Any]:
    return {
        "kind": "footer",
        "complete": True,
        "counts": {},
        "cost": {},
        "claimed": {},
        "body_sha256": sha256(body).hexdigest(),
    } | fields


def save_complete(path: Path, **fields: object) -> Path:
    save(path, header(), *(pred(i) for i in range(N)))
    path.write_bytes(path.read_bytes() + encode_line(footer(path.read_bytes(), **fields)))
    return path


def test_footerless_file_is_an_incomplete_run_and_its_torn_line_is_dropped(tmp_path: Path) -> None:
    path = save(tmp_path / "run.jsonl", header(), pred(0))
    whole = path.stat().st_size
    path.write_bytes(path.read_bytes() + encode_line(pred(1))[:-1])
    run = read_run(path)
    assert not run.complete
    assert list(run.rows) == ["0" * 16]
    assert run.valid_bytes == whole


BAD_RUNS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "empty": ([], ": empty"),
    "no header": ([pred(0)], ":1: not the header"),
    "other schema": ([header() | {"schema": "other/1"}], "schema is 'other/1'"),
    "no task": ([header() | {"task": 3}], ":1: field task is missing"),
    "n is text": ([header(n="4")], r":1: field task\.n is missing"),
    "n is true": ([header(n=True)], r":1: field task\.n is missing"),
    "partial": ([header() | {"partial": "no"}], ":1: field partial"),
    "explainer": ([header() | {"explainer": {"kind": "x"}}], r":1: field explainer\.name is miss"),
    "query ids": ([header(query_ids=[{}])], r":1: field task\.query_ids is missing or of the"),
    "no access": ([header() | {"access": "magic"}], ":1: field access is not one of words"),
    "unknown field": ([header() | {"host": "x"}], ":1: field host is not one of a header"),
    "unknown part": ([header(host="x")], r":1: field task\.host is not one of a header"),
    "unknown kind": ([header(), {"kind": "judgment"}], ":2: field kind is neither"),
    "duplicate id": (
        [header(), pred(0), pred(1), pred(0)],
        f":4: query id {'0' * 16} appears twice",
    ),
    "bad id": ([header(), pred(0, qid="../x")], ":2: field qid is not 16 hex"),
    "raw is null": ([header(), pred(0, raw=None)], ":2: field raw is missing"),
    "ms is negative": ([header(), pred(0, ms=-1)], ":2: field ms is not a number"),
    "n_in is text": ([header(), pred(0, n_in="3")], ":2: field n_in is not a number"),
    "second header": ([header(), header()], ":2: field kind is neither"),
    "wrong body hash": ([header(), footer(b"")], ":2: body_sha256 is"),
    "footer too early": ([header(), footer(encode_line(header()))], "0 rows of 4"),
}


@pytest.mark.parametrize("name", BAD_RUNS)
def test_bad_run_file_is_named(name: str, tmp_path: Path) -> None:
    lines, message = BAD_RUNS[name]
    with pytest.raises(IntegrityError, match=message) as caught:
        read_run(save(tmp_path / "run.jsonl", *lines))
    assert str(caught.value).startswith(str(tmp_path / "run.jsonl"))


@pytest.mark.parametrize("line", [b'{"kind":"pred","n_in":NaN}', b'{"a":1,"a":2}', b"\xff", b"[]"])
def test_bad_line_is_named(line: bytes, tmp_path: Path) -> None:
    path = save(tmp_path / "run.jsonl", header())
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(IntegrityError, match=r"run\.jsonl:2: "):
        read_run(path)


def test_changed_byte_and_added_line_break_the_footer(tmp_path: Path) -> None:
    path = save_complete(tmp_path / "run.jsonl")
    read_run(path)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"reply 2", b"reply 3"))
    with pytest.raises(IntegrityError, match=":6: body_sha256 is"):
        read_run(path)
    path.write_bytes(data + b"\n")
    with pytest.raises(IntegrityError, match=":7: not valid JSON"):
        read_run(path)
    path.write_bytes(data + b"{}\n")
    with pytest.raises(IntegrityError, match=":7: only judgements follow the footer"):
        read_run(path)


def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.jsonl"
    save(path, header(), pred(0, raw="x" * (64 << 10)))
    with pytest.raises(IntegrityError, match=":2: line longer than 65536 bytes"):
        read_run(path)
    save(path, header(), pred(0))
    with path.open("r+b") as stream:
        stream.truncate(1 << 30)
    with pytest.raises(IntegrityError, match="1073741824 bytes, a run file has at most 67108864"):
        read_run(path)
    monkeypatch.setattr("introspect_bench.benchmark.runs.run.MAX_ROWS", 2)
    with pytest.raises(IntegrityError, match=":4: more than 2 rows"):
        read_run(save(path, header(), *(pred(i) for i in range(3))))


def test_unreadable_run_files_are_usage_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(UsageError, match="cannot read"):
            read_run(path)


def test_first_difference_of_equal_objects_is_none() -> None:
    assert first_difference({"a": {"b": [1]}}, {"a": {"b": [1]}}) is None
    assert first_difference({"a": {}}, {"a": {"b": 1}}) == ("a.b", "(absent)", 1)
