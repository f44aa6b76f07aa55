"""Runs that stopped midway: continued with what is missing, to the rows of an uninterrupted one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from introspect_bench.benchmark.errors import IntegrityError, MissingPartError
from introspect_bench.benchmark.explainer import ExplainerCard
from introspect_bench.benchmark.records import Completion, Prompt
from introspect_bench.benchmark.runs.run import read_run
from introspect_bench.benchmark.suite.suite import Suite

TOY = Path(__file__).parents[2] / "helpers" / "toy.py"


def rows(path: Path) -> list[dict[str, Any]]:
    """Rows sorted by id, without the time they took."""
    found = sorted(read_run(path).rows.values(), key=lambda row: row["qid"])
    return [{key: row[key] for key in row if key != "ms"} for row in found]


def test_complete_run_asks_nothing(ask: Callable[..., Path], scripted: Callable[..., Any]) -> None:
    before = ask(scripted({})).read_bytes()
    explainer = scripted({})
    assert ask(explainer).read_bytes() == before
    assert not explainer.batches


def interrupting(after: int, inner: Any) -> Any:
    """Replies like `inner`, until a keyboard interrupt in a later batch."""

    def replies(prompts: Sequence[Prompt]) -> Sequence[Completion | str]:
        if len(inner.batches) == after:
            raise KeyboardInterrupt
        return inner.complete(prompts)  # type: ignore[no-any-return]

    return replies


def test_interrupted_run_continues_with_what_is_missing(
    ask: Callable[..., Path], scripted: Callable[..., Any], batch_dependent: Any, tmp_path: Path
) -> None:
    whole = ask(batch_dependent, out=tmp_path / "whole.jsonl", shots=1)
    n_batches = len(batch_dependent.batches)
    batch_dependent.batches.clear()
    with pytest.raises(KeyboardInterrupt):
        ask(scripted(interrupting(3, batch_dependent)), shots=1)
    run = read_run(tmp_path / "run.jsonl")
    assert not run.complete
    assert len(run.rows) == sum(len(batch) for batch in batch_dependent.batches) > 0
    batch_dependent.batches.clear()
    assert rows(ask(batch_dependent, shots=1)) == rows(whole)
    assert len(batch_dependent.batches) == n_batches - 3


def test_half_a_batch_on_disk_is_asked_whole_and_completed(
    ask: Callable[..., Path], batch_dependent: Any
) -> None:
    path = ask(batch_dependent)
    whole = rows(path)
    lines = path.read_bytes().splitlines(keepends=True)
    # The header, the first batch and two of the three rows of the second, one of them torn.
    path.write_bytes(b"".join(lines[:5]) + lines[5][:40])
    batch_dependent.batches.clear()
    assert rows(ask(batch_dependent)) == whole
    assert len(batch_dependent.batches[0]) == 3


def test_resume_refuses_other_settings(
    ask: Callable[..., Path], scripted: Callable[..., Any]
) -> None:
    ask(scripted({}), limit=3)
    other = ExplainerCard(name="toy/scripted", kind="custom", settings={"temperature": 1.0})
    for changes, field in (
        ({"limit": 4}, "task.n"),
        ({"limit": 3, "shots": 2}, "explainer.shots"),
        ({"limit": 3, "seed": 1}, "generation.seed"),
        ({"limit": 3, "batch_size": 4}, "generation.batch_size"),
        ({"limit": 3, "no_vector": True}, "explainer.no_vector"),
        ({"limit": 3, "card": other}, "explainer.settings.temperature"),
        ({"limit": 3, "split": "validation"}, "task.split"),
    ):
        with pytest.raises(IntegrityError, match=f"is another run: {field} is"):
            ask(scripted({}), **changes)


def test_rows_that_are_not_this_runs_are_refused(
    ask: Callable[..., Path], scripted: Callable[..., Any]
) -> None:
    path = ask(scripted({}))
    lines = path.read_text().splitlines(keepends=True)
    row = json.loads(lines[1])
    path.write_text(lines[0] + json.dumps(row | {"qid": "f" * 16}) + "\n")
    with pytest.raises(IntegrityError, match=r"query id f{16} is not among the run's queries"):
        ask(scripted({}))
    path.write_text(lines[0] + json.dumps(row | {"key": "0"}) + "\n")
    with pytest.raises(
        IntegrityError, match=f"the row of query {row['qid']} was made from another"
    ):
        ask(scripted({}))


def test_full_disk_loses_nothing(
    ask: Callable[..., Path], scripted: Callable[..., Any], batch_dependent: Any, tmp_path: Path
) -> None:
    whole = rows(ask(batch_dependent, out=tmp_path / "whole.jsonl"))

    def fill(prompts: Sequence[Prompt]) -> Sequence[Completion | str]:
        if len(batch_dependent.batches) == 12:
            patch.setattr(os, "fsync", full)
        return batch_dependent.complete(prompts)  # type: ignore[no-any-return]

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with (
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(MissingPartError, match="no disk space"),
    ):
        ask(scripted(fill))
    assert 0 < len(read_run(tmp_path / "run.jsonl").rows) < 24
    assert rows(ask(batch_dependent)) == whole


RUNNER = """
import importlib.util, sys, time
from pathlib import Path
from introspect_bench.benchmark.explainer import ExplainerCard
from introspect_bench.benchmark.evaluation.predict import predict
from introspect_bench.benchmark.prompts import PromptSpec
from introspect_bench.benchmark.suite.suite import open_suite

spec = importlib.util.spec_from_file_location("toy", sys.argv[1])
toy = importlib.util.module_from_spec(spec)
sys.modules["toy"] = toy
spec.loader.exec_module(toy)

def slow(prompts):
    time.sleep(0.01)
    return toy.batch_replies(prompts)

predict(
    PromptSpec(
        task=toy.make_toy_task(uses_vector=True), suite=open_suite(Path(sys.argv[2])),
        split="test", batch_size=2, shots=2,
    ),
    toy.Scripted(slow),
    ExplainerCard(name="toy/scripted", kind="custom", settings={"temperature": 0.0}),
    Path(sys.argv[3]),
)
"""


def test_killed_runs_end_with_the_rows_of_an_uninterrupted_one(
    ask: Callable[..., Path], batch_dependent: Any, toy_suite: Suite, tmp_path: Path
) -> None:
    whole = rows(ask(batch_dependent, batch_size=2, shots=2, out=tmp_path / "whole.jsonl"))
    out = tmp_path / "killed.jsonl"
    command = [sys.executable, "-c", RUNNER, str(TOY), str(toy_suite.root), str(out)]
    rng = np.random.default_rng()
    n_rows = [0]
    for _ in range(5):
        process = subprocess.Popen(command)
        size = out.stat().st_size if out.exists() else 0
        deadline = time.monotonic() + 60
        # Wait until this process has written something, then strike at any moment.
        while (out.stat().st_size if out.exists() else 0) <= size and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.03))
        process.send_signal(signal.SIGKILL)
        process.wait()
        n_rows.append(len(read_run(out).rows))
    assert n_rows == sorted(n_rows)
    assert n_rows[1] < 24
    subprocess.run(command, check=True)
    assert read_run(out).complete
    assert rows(out) == whole
