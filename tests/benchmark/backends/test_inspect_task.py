"""Input ablations as a task of Inspect: figures are those of `score` on the same replies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_suites import make_suite_folder

import introspect_bench as ib
from introspect_bench.benchmark.backends.lm_eval_tasks import ablations
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.runs.run import Run
from introspect_bench.benchmark.suite.select import find_suite

WHY = "pip install 'introspect-bench[inspect]' in an environment of its own"
pytest.importorskip("inspect_ai", reason=WHY)
pytestmark = pytest.mark.filterwarnings("ignore")  # of what Inspect imports

SUITE = "smollm2-135m"
WRONG = ("changed: A", "unchanged: B\nmore", "no answer", "part: A", "changed", "")


def evaluated(
    folder: Path, replies: dict[str, str] | str, name: str | None = None, **task: Any
) -> Any:
    """The log of an evaluation, perhaps by name, in which each query gets its reply."""
    from inspect_ai import eval as evaluate
    from inspect_ai.model import ModelOutput, ModelUsage, get_model

    from introspect_bench.benchmark.backends.inspect_task import input_ablations

    by_prompt = {
        row["system"] + row["prompt"]: replies if isinstance(replies, str) else replies[row["id"]]
        for row in ablations.prompts(find_suite(task["suite"], ablations.TASK), task["split"])
    }

    def reply(messages: list[Any], *_: Any) -> ModelOutput:
        text = by_prompt["".join(message.text for message in messages)]
        output = ModelOutput.from_content("mockllm", text)
        output.usage = ModelUsage()  # else a tokenizer is downloaded to count them
        return output

    model = get_model("mockllm/model", custom_outputs=reply)
    (log,) = evaluate(
        name or input_ablations(**task),
        model=model,
        task_args=task if name else {},
        log_dir=str(folder),
        display="none",
        score_display=False,
    )
    assert log.status == "success", log.error
    return log


def figures(log: Any) -> dict[str, float]:
    (score,) = log.results.scores
    return {name: one.value for name, one in score.metrics.items()}


def test_figures_are_ours_on_mixed_replies(run_of: Callable[..., Run], tmp_path: Path) -> None:
    suite = find_suite(SUITE, ablations.TASK)
    rows = ablations.prompts(suite, "validation")
    replies = {
        row["id"]: row["target"] if number % 3 else WRONG[number // 3 % len(WRONG)]
        for number, row in enumerate(rows)
    }
    run = run_of(get_task(ablations.TASK), suite, replies, split="validation")
    score = ib.score(run.path)
    metrics = score["overall"]["metrics"]
    ours = {name: one["value"] for name, one in metrics.items()}
    ends = metrics[score["headline"]]["interval_95"]
    ours |= zip((f"{score['headline']}_low", f"{score['headline']}_high"), ends, strict=True)
    log = evaluated(tmp_path, replies, suite=SUITE, split="validation")
    found = figures(log)
    right = {sample.id: sample.scores["ablation"].value for sample in log.samples}
    assert found.pop("accuracy") == pytest.approx(np.mean(list(right.values())), abs=1e-12)
    assert found.pop("stderr") == pytest.approx(clustered(rows, right), abs=1e-12)
    assert found == ours
    assert all(0 < value < 1 for value in ours.values())
    assert log.eval.metadata["data_sha256"] == suite.data_sha256


def clustered(rows: list[dict[str, str]], right: dict[str, float]) -> float:
    """Standard error clustered by group: appendix A of arXiv:2411.00640, with n / (n - 1)."""
    mean, sums = float(np.mean(list(right.values()))), dict[str, float]()
    for row in rows:
        sums[row["group"]] = sums.get(row["group"], 0.0) + right[row["id"]] - mean
    n = len(sums)
    return float(np.sqrt(sum(one**2 for one in sums.values()) * n / (n - 1)) / len(right))


def test_a_folder_of_suites_can_be_asked(tmp_path: Path) -> None:
    suite = str(make_suite_folder(tmp_path / "toy"))
    found = figures(evaluated(tmp_path / "log", "no answer", suite=suite, split="test"))
    assert found["accuracy"] == found["which_accuracy"] == 0


def test_inspect_finds_it_by_name(tmp_path: Path) -> None:
    """As `inspect eval introspect_bench/input_ablations -T split=mini` does."""
    name = "introspect_bench/input_ablations"
    log = evaluated(tmp_path, "part: A", name, suite=SUITE, split="mini")
    assert log.eval.task == name
    assert {"kind_mean", "kind_mean_low", "which_accuracy"} <= figures(log).keys()
