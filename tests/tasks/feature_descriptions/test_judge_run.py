"""Judging a run: batch by batch, going on after a kill, and never opening truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_descriptions import TASK, Says, answered, edit
from tiny_features import Counting, judges, make_feature_suite
from tiny_runs import header, row
from tiny_suites import make_suite
from told import Told

from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.evaluation.predict import predict
from introspect_bench.benchmark.explainer import ExplainerCard
from introspect_bench.benchmark.prompts import PromptSpec
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.runs.run import read_run
from introspect_bench.benchmark.runs.writer import open_run
from introspect_bench.benchmark.suite.suite import Suite, open_suite
from introspect_bench.tasks.feature_descriptions.judge import run as module
from introspect_bench.tasks.feature_descriptions.judge.judges import open_judges
from introspect_bench.tasks.feature_descriptions.judge.run import judge_run


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return make_feature_suite(tmp_path / "suite" / "feature-descriptions" / "v2")


class Stops(Counting):
    """Is killed at its second call."""

    calls = 0

    def predict(self, *args: Any, **more: Any) -> Any:
        self.calls += 1
        if self.calls == 2:
            raise KeyboardInterrupt
        return super().predict(*args, **more)


def test_a_killed_judge_goes_on_and_ends_the_same(
    suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 4)
    whole = answered(suite, tmp_path / "whole.jsonl", lambda p: f"ant {p.query.id}")
    part = tmp_path / "part.jsonl"
    part.write_bytes(whole.read_bytes())
    assert judge_run(whole, task=TASK, suite=suite, judges=judges()) == 9
    with pytest.raises(KeyboardInterrupt):
        judge_run(part, task=TASK, suite=suite, judges=[Stops()])
    assert len(read_run(part).judgements) == 4
    with part.open("rb+") as stream:  # and the last line is torn
        stream.truncate(part.stat().st_size - 9)
    told = Told()
    appended = judge_run(part, task=TASK, suite=suite, judges=judges(), progress=told)
    assert appended == 6
    assert read_run(part).judgements == read_run(whole).judgements
    assert part.read_bytes() == whole.read_bytes()
    assert told.steps[-1] == (f"asking {judges()[0].id}", 9, 9)
    assert judge_run(part, task=TASK, suite=suite, judges=judges()) == 0


def test_truth_is_never_opened(
    suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = answered(suite, tmp_path / "run.jsonl", lambda _: "ant")
    read = Suite.read
    opened: list[str] = []

    def watch(self: Suite, name: str) -> bytes:
        opened.append(name)
        return read(self, name)

    monkeypatch.setattr(Suite, "read", watch)
    judge_run(path, task=TASK, suite=suite, judges=judges())
    assert set(opened) == {"test/queries.jsonl", "test/windows.safetensors"}


def test_predictions_are_those_of_each_querys_own_windows(suite: Suite, tmp_path: Path) -> None:
    path = answered(suite, tmp_path / "run.jsonl", lambda _: "ant bee")
    judge_run(path, task=TASK, suite=suite, judges=judges()[:1])
    found = read_run(path).judgements
    first = suite.queries("test")[0]
    again = answered(suite, tmp_path / "one.jsonl", lambda _: "ant bee", queries=[first.id])
    judge_run(again, task=TASK, suite=suite, judges=judges()[:1])
    key = (judges()[0].id, first.id)
    assert read_run(again).judgements[key]["predicted"] == found[key]["predicted"]


def test_incomplete_runs_and_other_tasks_are_refused(suite: Suite, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with open_run(path, header()) as writer:
        writer.append([row(0)])
    with pytest.raises(UsageError, match="not complete"):
        judge_run(path, task=TASK, suite=suite, judges=judges())
    task = get_task("activation-patching")
    other = open_suite(make_suite(tmp_path / "patching", task))
    out = predict(
        PromptSpec(task=task, suite=other, split="mini", batch_size=4),
        Says(lambda _: "unchanged: Paris"),
        ExplainerCard(name="says", kind="custom"),
        tmp_path / "other.jsonl",
    )
    with pytest.raises(UsageError, match="need no judge"):
        judge_run(out, task=task, suite=other, judges=judges())
    with pytest.raises(UsageError, match="need no judge"):
        open_judges(other)


def test_unknown_judges_and_absent_simulators_are_refused(suite: Suite) -> None:
    with pytest.raises(UsageError, match="unknown judge 'reader': choose from exact-predicates, s"):
        open_judges(suite, names=["reader"])
    with pytest.raises(UsageError, match="the suite toy has no simulator; it is judged by exact"):
        open_judges(suite, names=["simulator"])


def test_a_run_judged_on_other_texts_is_refused(suite: Suite, tmp_path: Path) -> None:
    path = answered(suite, tmp_path / "run.jsonl", lambda _: "ant")
    judge_run(path, task=TASK, suite=suite, judges=judges()[:1])
    edit(path, lambda row: row.update(text="bee"))
    with pytest.raises(IntegrityError, match="judged another text"):
        judge_run(path, task=TASK, suite=suite, judges=judges())
