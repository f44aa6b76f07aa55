"""The embedded suite's own judge: the references as it reads them, and replies that say nothing.

Fetches the target's tokenizer and the sentence encoder as any user does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from null_replies import REPLIES, null_replies
from tiny_runs import score_run

from introspect_bench.benchmark.evaluation.predict import predict
from introspect_bench.benchmark.explainer import ExplainerCard
from introspect_bench.benchmark.prompts import PromptSpec
from introspect_bench.benchmark.records import Prompt
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.runs.run import read_run
from introspect_bench.benchmark.suite.select import shipped_suite
from introspect_bench.benchmark.suite.suite import Suite
from introspect_bench.tasks.feature_descriptions.judge.judges import DescriptionJudge, open_judges
from introspect_bench.tasks.feature_descriptions.judge.run import judge_run

TASK = get_task("feature-descriptions")
NOTHING = 0.15
"""A reply that says nothing stays below this; the small split has few features."""


@pytest.fixture(scope="module")
def suite() -> Suite:
    return shipped_suite("smollm2-135m", "feature-descriptions")


@pytest.fixture(scope="module")
def judges(suite: Suite) -> Sequence[DescriptionJudge]:
    return open_judges(suite)


class Says:
    def __init__(self, reply: Any) -> None:
        self.reply = reply

    def complete(self, prompts: Sequence[Prompt]) -> list[str]:
        return [self.reply(prompt) for prompt in prompts]


def scored(
    suite: Suite, judges: Sequence[DescriptionJudge], out: Path, reply: Any
) -> dict[str, Any]:
    spec = PromptSpec(task=TASK, suite=suite, split="mini", batch_size=64)
    path = predict(spec, Says(reply), ExplainerCard(name="says", kind="custom"), out)
    judge_run(path, task=TASK, suite=suite, judges=judges)
    return score_run(read_run(path), TASK, suite)


def test_references_are_read_and_score(
    suite: Suite, judges: Sequence[DescriptionJudge], tmp_path: Path
) -> None:
    truth = suite.feature_truth("mini")
    for place in range(3):  # every wording
        out = tmp_path / f"{place}.jsonl"
        result = scored(suite, judges, out, lambda p, n=place: truth[p.query.id].descriptions[n])
        assert result["descriptions"]["mapped"]["none"] == 0
        assert result["overall"]["metrics"]["matched_auroc"]["value"] > 0.36  # AUROC 0.68


@pytest.mark.parametrize("name", REPLIES)
def test_saying_nothing_earns_nothing(
    name: str, suite: Suite, judges: Sequence[DescriptionJudge], tmp_path: Path
) -> None:
    reply = null_replies(suite, "mini")[name]
    metrics = scored(suite, judges, tmp_path / "run.jsonl", reply)["overall"]["metrics"]
    assert metrics["matched_auroc"]["value"] < NOTHING
    assert metrics["weighted_r"]["value"] < NOTHING
