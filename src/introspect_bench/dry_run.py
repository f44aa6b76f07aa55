"""What a run would do and cost, without computing anything."""

from __future__ import annotations

from dataclasses import dataclass

from introspect_bench.benchmark.evaluation.check import Plan, plan
from introspect_bench.benchmark.prompts import AUTO_BATCH_SIZE
from introspect_bench.benchmark.suite.suite import Suite
from introspect_bench.estimate import fetch_target, judging_seconds, model_seconds
from introspect_bench.request import RunRequest
from introspect_bench.running import answerable, check, n_shots


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPlan:
    """What a run would do for one task."""

    task: str
    """Name of the task."""
    path: str
    """The run file."""
    queries: int
    """Queries to answer."""
    prompt_tokens: int
    """Estimated tokens of all prompts together."""
    disk_bytes: int
    """Estimated size of the run file."""
    seconds: float | None
    """Estimated time on a CPU, at most; None if nothing is known of the explainer or device."""
    download_bytes: int
    """What would be downloaded first, once."""
    cache_bytes: int
    """Room needed in the cache for that."""


def plan_run(request: RunRequest) -> tuple[TaskPlan, ...]:
    """Say what `run` would do, without loading weights or asking anything.

    Raises:
        UsageError: unknown name, or an impossible combination.
        MissingPartError: a folder that is not there, or holds no weights.
        IntegrityError: a file of the suite is corrupt, or the run file is another run's.
    """
    plans = []
    for task, suite in answerable(request):
        check(request, task, suite)
        found: Plan = plan(
            task=task,
            suite=suite,
            split=request.split,
            batch_size=request.batch_size or AUTO_BATCH_SIZE,
            limit=request.limit,
            queries=request.queries,
            seed=request.seed,
            shots=n_shots(request),
        )
        fetched = fetch_target(request.model, suite)
        plans.append(
            TaskPlan(
                task=task.name,
                path=str(request.path(task, suite)),
                queries=found.queries,
                prompt_tokens=found.prompt_tokens,
                disk_bytes=found.disk_bytes,
                seconds=_seconds(request, suite, found),
                download_bytes=fetched.download_bytes if fetched else 0,
                cache_bytes=fetched.disk_bytes if fetched else 0,
            )
        )
    return tuple(plans)


def _seconds(request: RunRequest, suite: Suite, found: Plan) -> float | None:
    answering = model_seconds(
        request.model,
        suite,
        device=request.device,
        tokens=found.prompt_tokens,
        queries=found.queries,
    )
    judging: float | None = 0.0
    if request.simulate:
        judging = judging_seconds(suite, device=request.device, queries=found.queries)
    return None if answering is None or judging is None else answering + judging
