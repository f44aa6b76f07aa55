"""What a run would do and cost, guessed without loading weights: upper bounds on a CPU.

Nothing is guessed for devices and explainers of which nothing is known.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..models.fetch import prepared_dir
from ..models.targets import TargetSpec, layers_and_width, locate
from ..prompts import AUTO_BATCH_SIZE
from ..registry import BASELINE, find_baseline
from ..suite.suite import Suite
from .check import Plan, plan
from .run import answerable, check, n_shots
from .spec import RunRequest


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
    if request.judge:
        judging = judging_seconds(suite, device=request.device, queries=found.queries)
    return None if answering is None or judging is None else answering + judging


REPLY_TOKENS = 24
"""Tokens of a usual reply, as many as a query's answer needs."""
_ENCODER = (6, 384)
"""Layers and width of the encoder of sentences."""
_PHRASES = 3
"""Texts that are embedded for a description."""
_MATRIX = 512
_TRIALS = 5


def model_seconds(
    model: str, suite: Suite, *, device: str, tokens: int, queries: int
) -> float | None:
    """Guess how long a local model takes on this CPU, in seconds, or None if nothing is known.

    A pass over one token costs two operations a weight; a decoder layer of width d has about 12 d²
    weights (arXiv:2001.08361, section 2.1).

    Args:
        model: what the user typed.
        suite: the suite, whose target a baseline may run.
        device: a torch device; only the CPU's speed is known.
        tokens: tokens of all prompts.
        queries: number of replies.
    """
    if model.startswith(BASELINE):
        if "target-model" not in find_baseline(model).needs:
            return 0.0
        model = str(suite.manifest["target"].get("name"))
    size = _size(model)
    if size is None or device != "cpu":
        return None
    n_layers, d_model = size
    operations = 2 * 12 * n_layers * d_model**2 * (tokens + REPLY_TOKENS * queries)
    return operations / _operations_per_second()


def judging_seconds(suite: Suite, *, device: str, queries: int) -> float | None:
    """Guess how long the judge of descriptions takes on this CPU, in seconds, or None elsewhere.

    It embeds every description and its phrases.

    Args:
        suite: the suite; 0 if its answers are no descriptions.
        device: a torch device; only the CPU's speed is known.
        queries: number of descriptions.
    """
    if not suite.describes:
        return 0.0
    if device != "cpu":
        return None
    n_layers, d_model = _ENCODER
    operations = 2 * 12 * n_layers * d_model**2 * queries * _PHRASES * REPLY_TOKENS
    return operations / _operations_per_second()


def fetch_target(model: str, suite: Suite) -> TargetSpec | None:
    """Return the named target that would have to be downloaded first, or None."""
    if model.startswith(BASELINE):
        needs = find_baseline(model).needs
        if "target-model" not in needs and not suite.describes:
            return None
        model = str(suite.manifest["target"].get("name"))
    found = locate(model)
    return found if isinstance(found, TargetSpec) and not prepared_dir(found).is_dir() else None


def _size(model: str) -> tuple[int, int] | None:
    found = locate(model)
    if isinstance(found, TargetSpec):
        return found.n_layers, found.d_model
    # the folder of an adapter has no configuration of its own
    if isinstance(found, Path) and (found / "config.json").is_file():
        return layers_and_width(found)
    return None


def _operations_per_second() -> float:
    """Measure this machine's float32 matrix product, in operations per second."""
    matrix = np.ones((_MATRIX, _MATRIX), dtype=np.float32)
    start = time.perf_counter()
    for _ in range(_TRIALS):
        matrix @ matrix
    return _TRIALS * 2 * _MATRIX**3 / (time.perf_counter() - start)
