"""What a training will do and cost, before anything is loaded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...evaluation.plan import operations, operations_per_second, plan, size_of
from ...models.targets import find_name
from ...prompts import PromptSpec
from ...suite.select import tasks_of
from ...suite.suite import Suite
from ...task import Task
from .spec import ExplainerSettings, TrainSpec, split_options

N_VALIDATION = 200  # Most validation queries of a task that a training stops by
SHARE = 0.1  # Most of the time that validation takes, unless evaluations are asked for
COST = 2  # A query that is learnt from takes at least as long as two that are only read
PASSES = 3  # Of learning from a query, at most: one forward, and one back that is twice as long


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainPlan:
    """What `train` would do."""

    path: str  # The explainer's folder
    queries: dict[str, int]  # To learn from, by task; questions about vectors come on top
    validation: dict[str, int]  # To stop by, by task
    steps: int  # Of the optimiser, about
    evaluations: int  # Times that the validation loss is measured
    prompt_tokens: int  # That are learnt from, estimated
    seconds: float | None  # Upper bound on this CPU; None if the base or device is not known


def checks(
    n_seen: int, suites: Sequence[tuple[Task, Suite]], evaluations: int | None
) -> tuple[int, dict[str, int]]:
    """Return how often to validate, and on how many queries of each task.

    By default at most `SHARE` of the time of seeing `n_seen` queries, at least one query a task.
    """
    sizes = {task.name: len(suite.queries("validation")) for task, suite in suites}
    if evaluations is not None:
        return evaluations, {name: min(N_VALIDATION, size) for name, size in sizes.items()}
    budget = SHARE / (1 - SHARE) * COST * n_seen
    few = max(1, min(N_VALIDATION, int(budget / len(sizes))))
    counts = {name: min(few, size) for name, size in sizes.items()}
    most = ExplainerSettings().evaluations
    return max(1, min(most, int(budget / sum(counts.values())))), counts


def n_train(request: TrainSpec, suite: Suite) -> int:
    """Return how many queries of a suite are learnt from."""
    return len(replace(suite, n_train=request.n_train).queries("train"))


def plan_training(base: str, output: Path | str, **options: Any) -> TrainPlan:
    """Say what `train` with the same arguments would do; loads and downloads nothing."""
    request, more = split_options(base, output, options)
    given = more.pop("evaluations", None)
    settings = ExplainerSettings(**more)
    find_name(base)  # first of all: an unknown base is refused
    size = size_of(base)
    suites = tasks_of(request.suite, request.tasks)
    queries = {task.name: n_train(request, suite) for task, suite in suites}
    n_seen = sum(queries.values()) * settings.epochs
    evaluations, validation = checks(n_seen, suites, given)
    tokens = settings.epochs * sum(
        plan(
            PromptSpec(
                task=task,
                suite=replace(suite, n_train=request.n_train),
                split="train",
                batch_size=settings.batch_size,
                no_vector=request.no_vector,
            )
        ).prompt_tokens
        for task, suite in suites
    )
    read = evaluations * sum(validation.values()) / max(1, n_seen)
    seconds = None
    if size is not None and request.device == "cpu":
        seconds = operations(*size, tokens) * (PASSES + read) / operations_per_second()
    return TrainPlan(
        path=str(output),
        queries=queries,
        validation=validation,
        steps=math.ceil(n_seen / (settings.batch_size * settings.accumulation)),
        evaluations=evaluations,
        prompt_tokens=tokens,
        seconds=seconds,
    )
