"""What tests of several files share with `benchmark/scoring/test_judged.py`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tiny_features import NAME, judges
from tiny_runs import score_run

from introspect_bench.benchmark.evaluation.predict import predict
from introspect_bench.benchmark.explainer import ExplainerCard
from introspect_bench.benchmark.prompts import PromptSpec
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.runs.run import encode_line, read_run
from introspect_bench.benchmark.suite.suite import Suite
from introspect_bench.tasks.feature_descriptions.judge.run import judge_run

TASK = get_task(NAME)


Reply = Callable[[Any], str]


class Says:
    def __init__(self, reply: Reply) -> None:
        self.reply = reply

    def complete(self, prompts: Any) -> list[str]:
        return [self.reply(prompt) for prompt in prompts]


def answered(suite: Suite, path: Path, reply: Reply, **more: Any) -> Path:
    split = more.pop("split", "test")
    spec = PromptSpec(task=TASK, suite=suite, split=split, batch_size=4, **more)
    return predict(spec, Says(reply), ExplainerCard(name="says", kind="custom"), path)


def judged(suite: Suite, path: Path, reply: Reply, **more: Any) -> Path:
    answered(suite, path, reply, **more)
    judge_run(path, task=TASK, suite=suite, judges=judges())
    return path


def scored(suite: Suite, path: Path) -> dict[str, Any]:
    return score_run(read_run(path), TASK, suite)


def always(text: str) -> Reply:
    return lambda _: text


def truth_of(suite: Suite) -> Reply:
    truth = suite.feature_truth("test")
    return lambda prompt: truth[prompt.query.id].descriptions[0]


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the first judgement of a run file."""
    lines = path.read_bytes().splitlines(keepends=True)
    place = next(i for i, line in enumerate(lines) if b'"kind":"judgement"' in line)
    row = json.loads(lines[place])
    change(row)
    lines[place] = encode_line(row)
    path.write_bytes(b"".join(lines))
