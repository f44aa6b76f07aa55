"""Runs that are never scored: about another suite, contradictory, or damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tiny_runs import Perfect, score_run

from introspect_bench.benchmark.errors import IntegrityError
from introspect_bench.benchmark.runs.run import Run, encode_line, read_run
from introspect_bench.benchmark.suite.suite import Suite
from introspect_bench.benchmark.task import Task


def edit(run: Run, changes: dict[str, Any]) -> Run:
    """The same run with other header fields, as a file without footer."""
    lines = run.path.read_bytes().splitlines(keepends=True)[:-1]
    header = json.loads(lines[0])
    for path, value in changes.items():
        part, _, name = path.rpartition(".")
        (header[part] if part else header)[name] = value
    run.path.write_bytes(encode_line(header) + b"".join(lines[1:]))
    return read_run(run.path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("task.id", "other"),
        ("task.version", "v2"),
        ("task.suite", "other"),
        ("task.data_sha256", "0" * 64),
        ("task.prompt_sha256", "0" * 64),
    ],
)
def test_run_of_another_suite_is_refused_naming_the_field(
    toy_task: Task, toy_suite: Suite, run_of: Callable[..., Run], path: str, value: str
) -> None:
    run = edit(run_of(toy_task, toy_suite, {}), {path: value})
    with pytest.raises(IntegrityError, match=rf"{path} is '{value}', the suite here has"):
        score_run(run, toy_task, toy_suite)


def test_contradictory_headers_are_refused(
    toy_task: Task, toy_suite: Suite, run_of: Callable[..., Run]
) -> None:
    run = run_of(toy_task, toy_suite, {}, limit=8)
    # Claiming to be about easier queries, or to be whole:
    for changes, message in (
        ({"task.limit": 4}, "query_ids_sha256"),
        ({"task.n": 7}, "query_ids_sha256"),
        ({"task.limit": 0}, "about no queries here: the limit is 0"),
        ({"task.limit": 8, "task.split": "dev"}, "about no queries here: unknown split 'dev'"),
        ({"task.split": "test", "task.n": 8, "partial": False}, "field partial is False"),
    ):
        with pytest.raises(IntegrityError, match=message):
            score_run(edit(run, changes), toy_task, toy_suite)


def test_answer_to_an_unknown_query_is_refused(
    toy_task: Task, toy_suite: Suite, run_of: Callable[..., Run]
) -> None:
    run = run_of(toy_task, toy_suite, {}, limit=8)
    lines = run.path.read_bytes().splitlines(keepends=True)[:-1]
    stranger = toy_suite.queries("test")[20].id
    lines[1] = encode_line(json.loads(lines[1]) | {"qid": stranger})
    run.path.write_bytes(b"".join(lines))
    with pytest.raises(IntegrityError, match=f"query id {stranger} is not among the run's"):
        score_run(read_run(run.path), toy_task, toy_suite)


def test_tampered_truth_is_never_scored(
    toy_task: Task, toy_suite: Suite, run_of: Callable[..., Run]
) -> None:
    run = run_of(toy_task, toy_suite, {})
    path = toy_suite.root / "test" / "truth.jsonl"
    path.write_text(path.read_text().replace("Rome", "Rima"))
    with pytest.raises(IntegrityError, match=r"truth\.jsonl: sha256 is"):
        score_run(run, toy_task, toy_suite)


@pytest.mark.parametrize(("last_line", "least"), [(None, 240), (-1, 100)])
def test_damaged_run_files_end_in_one_clear_error(
    toy_task: Task,
    toy_suite: Suite,
    perfect: Perfect,
    run_of: Callable[..., Run],
    last_line: int | None,
    least: int,
) -> None:
    # Whole, only damage to the last line can go unnoticed: it reads as torn. Without its footer a
    # file may also have another raw text; nothing but an IntegrityError may come out either way.
    run = run_of(toy_task, toy_suite, perfect(toy_task, toy_suite, "test"), limit=4)
    whole = b"".join(run.path.read_bytes().splitlines(keepends=True)[:last_line])
    rng = np.random.default_rng(0)
    odd = np.frombuffer(b'\x00\xff{}[]",:0-9eE\n\\ntu', dtype=np.uint8)
    messages = []
    for _ in range(300):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), size=rng.integers(1, 4)):
            data[place] = rng.choice(odd)
        run.path.write_bytes(data)
        try:
            score_run(read_run(run.path), toy_task, toy_suite)
        except IntegrityError as error:
            messages.append(str(error))
    assert len(messages) > least
    assert all(message.startswith(str(run.path)) for message in messages)
