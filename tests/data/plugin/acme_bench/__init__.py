"""An example of a package that brings an explainer, a task, a target and a judge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from introspect_bench.benchmark.models.targets import TargetSpec
from introspect_bench.benchmark.records import Prompt, Query
from introspect_bench.benchmark.task import Rendered, Task
from introspect_bench.tasks.feature_descriptions.judge.judges import stored
from introspect_bench.tasks.verdicts import OPENINGS, format_answer, parse_answer


class Says:
    """An explainer: says the same to everything."""

    def __init__(self, say: str = "unchanged: A") -> None:
        self.say = say

    def complete(self, prompts: Sequence[Prompt]) -> list[str]:
        """One reply a prompt."""
        return [self.say] * len(prompts)


def _render(query: Query) -> Rendered:
    fields = query.fields
    question = f"{fields['text']} Head {fields['head']} is set to zero. What comes next?"
    return Rendered(
        template="acme-heads/1",
        instructions="Say `changed: X` or `unchanged: X`.",
        question=question,
    )


TASK = Task(
    name="acme-heads",
    version="v1",
    summary="One attention head is set to zero: what does the target answer?",
    uses_vector=False,
    render=_render,
    parse=parse_answer,
    format_answer=format_answer,
    metrics=("balanced_exact_match", "exact_match_changed", "exact_match_unchanged"),
    headline="balanced_exact_match",
    openings=OPENINGS,
)
TARGET = TargetSpec(
    name="acme-tiny",
    source="hub",
    location="acme/tiny",
    revision="0" * 40,
    files={"model.safetensors": "0" * 64},
    n_layers=2,
    d_model=8,
    licence="Apache-2.0",
    chat=False,
)


class Judge:
    """A judge: predicts that a feature is active where its description has many letters."""

    id = "acme/letters@000000000001"

    def find(self, texts: Sequence[str], windows: Any) -> list[dict[str, str]]:
        """What is appended to a run for each text; windows are int (n, 16, 32)."""
        return [
            {"predicted": stored(np.full(windows.shape[1:], min(1.0, len(text) / 400), np.float32))}
            for text in texts
        ]


def make_judge(suite: Any, *, device: str) -> Judge:  # noqa: ARG001
    """The judge of a suite."""
    return Judge()
