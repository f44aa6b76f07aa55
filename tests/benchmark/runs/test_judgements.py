"""Judgements: appended to a complete run, kept through kills, refused if of another form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_runs import N, header, row

from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.runs.run import read_run
from introspect_bench.benchmark.runs.writer import open_judging, open_run

JUDGE = "simulator/tiny-v1@0123456789ab"


def complete(path: Path) -> Path:
    with open_run(path, header()) as writer:
        writer.append([row(i) for i in range(N)])
        writer.finish(counts={"unparsed": N}, cost={})
    return path


def judged(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "qid": f"{number:016x}",
        "judge": JUDGE,
        "text": "a word",
        "predicted": "AAEC",
        **fields,
    }


def test_judgements_read_back_and_leave_the_run_as_it_was(tmp_path: Path) -> None:
    path = complete(tmp_path / "run.jsonl")
    before = path.read_bytes()
    with open_judging(path) as writer:
        writer.judge([judged(0), judged(1)])
    with open_judging(path) as writer:
        assert set(writer.judgements) == {(JUDGE, f"{i:016x}") for i in range(2)}
        writer.judge([judged(2, judge="embedding/tiny@0123456789ab", embedding="AA==")])
    run = read_run(path)
    assert path.read_bytes().startswith(before)
    assert run.complete
    assert len(run.rows) == N
    assert len(run.judgements) == 3
    assert run.judgements[JUDGE, "0" * 16]["predicted"] == "AAEC"


def test_a_torn_judgement_is_dropped_and_can_be_written_again(tmp_path: Path) -> None:
    path = complete(tmp_path / "run.jsonl")
    with open_judging(path) as writer:
        writer.judge([judged(0)])
        whole = path.stat().st_size
        writer.judge([judged(1)])
    with path.open("rb+") as stream:
        stream.truncate(path.stat().st_size - 5)
    assert len(read_run(path).judgements) == 1
    with open_judging(path) as writer:
        assert path.stat().st_size == whole
        writer.judge([judged(1)])
    assert len(read_run(path).judgements) == 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"qid": "f" * 16}, "does not answer"),
        ({"judge": "me"}, "field judge"),
        ({"text": None}, "field text"),
        ({"predicted": "no base64!"}, "field predicted is not base64"),
        ({"predicted": 5}, "field predicted is not text"),
    ],
)
def test_what_is_not_of_the_form_is_refused_and_leaves_the_file(
    tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    path = complete(tmp_path / "run.jsonl")
    before = path.read_bytes()
    with open_judging(path) as writer, pytest.raises(IntegrityError, match=message):
        writer.judge([judged(0), judged(1, **fields)])
    assert path.read_bytes() == before


def test_a_judgement_without_findings_or_twice_is_refused(tmp_path: Path) -> None:
    path = complete(tmp_path / "run.jsonl")
    bare = judged(0)
    del bare["predicted"]
    with open_judging(path) as writer:
        with pytest.raises(IntegrityError, match="field predicted is not text"):
            writer.judge([bare])
        with pytest.raises(IntegrityError, match="twice"):
            writer.judge([judged(0), judged(0)])
        writer.judge([judged(0)])
        with pytest.raises(IntegrityError, match="twice"):
            writer.judge([judged(0)])


def test_a_run_is_judged_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with pytest.raises(UsageError, match="no such file"), open_judging(path):
        pass
    with open_run(path, header()) as writer:
        writer.append([row(0)])
        with pytest.raises(UsageError, match="not complete"):
            writer.judge([judged(0)])
    with pytest.raises(UsageError, match="not complete"), open_judging(path):
        pass


def test_two_judges_at_once_are_refused(tmp_path: Path) -> None:
    path = complete(tmp_path / "run.jsonl")
    with open_judging(path), pytest.raises(UsageError, match="another process"):  # noqa: SIM117
        with open_judging(path):
            pass


def test_a_prediction_or_a_judgement_out_of_place_is_refused(tmp_path: Path) -> None:
    path = complete(tmp_path / "run.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    with open_judging(path) as writer:
        writer.judge([judged(0)])
    judgement = path.read_bytes().splitlines(keepends=True)[-1]
    path.write_bytes(b"".join([*lines[:-1], judgement, lines[-1]]))
    with pytest.raises(IntegrityError, match="neither 'pred' nor 'footer'"):
        read_run(path)
    path.write_bytes(b"".join([*lines, lines[1]]))
    with pytest.raises(IntegrityError, match="only judgements follow"):
        read_run(path)
