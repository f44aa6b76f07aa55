"""Input ablations as a task of Inspect: `inspect eval introspect_bench/input_ablations`.

Prompts, parser and metrics are the package's own; the whole of a reply up to where decoding stops
is read. `accuracy` is exact match over all queries, its standard error is clustered by the text
that queries share.
"""

# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import math

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageSystem, ChatMessageUser, GenerateConfig
from inspect_ai.scorer import (
    Metric,
    SampleScore,
    Score,
    Scorer,
    Target,
    Value,
    accuracy,
    metric,
    scorer,
    stderr,
)
from inspect_ai.solver import TaskState, generate

from ..metrics.verdicts import evaluate
from ..registry import get_task
from ..runs.reply_text import until_ended
from ..scoring.grade import score_table
from ..suite.select import check_task, find_suite
from .lm_eval_tasks.ablations import (
    TASK,
    Item,
    all_metrics,
    graded,
    metric_names,
    prompts,
    versions,
)


@task
def input_ablations(suite: str = "smollm2-135m", split: str = "test", max_tokens: int = 32) -> Task:
    """Ask what a target answers without a part of its text; a folder of suites will do."""
    found = find_suite(suite, TASK)
    check_task(get_task(TASK), found)
    samples = [
        Sample(
            id=row["id"],
            input=[
                ChatMessageSystem(content=row["system"]),
                ChatMessageUser(content=row["prompt"]),
            ],
            target=row["target"],
            metadata={"group": row["group"], "suite": suite, "split": split},
        )
        for row in prompts(found, split)
    ]
    return Task(
        dataset=MemoryDataset(samples, name=f"{found.name} {split}"),
        solver=generate(),
        scorer=ablation(),
        config=GenerateConfig(temperature=0, max_tokens=max_tokens),
        version=int(found.version.removeprefix("v")),
        metadata=versions(found),
    )


@metric
def figures() -> Metric:
    """All metrics over all queries, as `introspect-bench score` computes them."""

    def compute(scores: list[SampleScore]) -> Value:
        items = tuple(tuple((one.score.metadata or {})["item"]) for one in scores)
        # Inspect also asks what there is without a single reply
        return {**(all_metrics(items) if items else dict.fromkeys(metric_names(), math.nan))}

    return compute


@scorer(metrics=[accuracy(), stderr(cluster="group"), figures()])
def ablation() -> Scorer:
    """Say whether a reply is right in whole."""

    async def score(state: TaskState, target: Target) -> Score:
        said, raw = state.metadata, state.output.completion
        item: Item = (said["suite"], said["split"], str(state.sample_id), until_ended(raw))
        right = evaluate("exact_match", score_table(graded([item])))
        return Score(value=right, answer=item[-1], explanation=target.text, metadata={"item": item})

    return score
