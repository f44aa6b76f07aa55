"""What a run would do and cost, estimated without loading weights: upper bounds on a CPU."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..models.fetch import prepared_dir
from ..models.targets import TargetSpec, layers_and_width, locate
from ..prompts import PromptSpec, build_prompts, cut_batches, render_all
from ..registry import BASELINE, find_baseline
from ..suite.suite import Suite
from .run import answerable, check, prompt_spec
from .spec import RunSpec

CHARACTERS_PER_TOKEN = 3.5  # Rule of thumb for English prompts
_HEADER_BYTES = 4_000
_ROW_BYTES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run would do."""

    queries: int  # Queries to answer
    batches: int  # Calls of the explainer
    prompt_tokens: int  # Estimated tokens of all prompts together
    disk_bytes: int  # Estimated size of the run file


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPlan:
    """What a run would do for one task."""

    task: str  # Name of the task
    path: str  # The run file
    queries: int  # Queries to answer
    prompt_tokens: int  # Estimated tokens of all prompts together
    disk_bytes: int  # Estimated size of the run file
    seconds: float | None  # On a CPU, at most; None if unknown
    download_bytes: int  # What would be downloaded first, once
    cache_bytes: int  # Room needed in the cache for that


def plan(spec: PromptSpec) -> Plan:
    """Say what `predict` would do; tokens are estimated from characters."""
    selected = spec.select()
    batches = cut_batches(render_all(spec.task, selected), spec.batch_size)
    tokens = 0
    for batch in build_prompts(replace(spec, no_vector=True), batches):
        shared = "".join(turn.question + turn.answer for turn in batch[0].shots)
        tokens += len(batch) * _tokens(batch[0].instructions + shared)
        tokens += sum(_tokens(prompt.question) for prompt in batch)
    return Plan(
        queries=len(selected),
        batches=len(batches),
        prompt_tokens=tokens,
        disk_bytes=_HEADER_BYTES + _ROW_BYTES * len(selected),
    )


def _tokens(text: str) -> int:
    return round(len(text) / CHARACTERS_PER_TOKEN)


def plan_run(request: RunSpec) -> tuple[TaskPlan, ...]:
    """Say what `run` would do, without loading weights or asking anything."""
    plans = []
    for task, suite in answerable(request):
        check(request, task, suite)
        found = plan(prompt_spec(request, task, suite))
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


REPLY_TOKENS = 24  # Tokens of a usual reply, as many as a query's answer needs
_ENCODER = (6, 384)  # Layers and width of the encoder of sentences
_PHRASES = 3  # Texts that are embedded for a description
_MATRIX = 512
_TRIALS = 5


def _seconds(request: RunSpec, suite: Suite, found: Plan) -> float | None:
    """Estimate the time on this CPU, or None if nothing is known of the model or device."""
    needed = 0
    if not _looks_up(request.model):
        size = size_of(_model(request.model, suite))
        if size is None:
            return None
        needed += operations(*size, found.prompt_tokens + REPLY_TOKENS * found.queries)
    if request.judge and suite.has_windows:
        needed += operations(*_ENCODER, found.queries * _PHRASES * REPLY_TOKENS)
    if not needed:
        return 0.0
    return needed / operations_per_second() if request.device == "cpu" else None


def operations(n_layers: int, d_model: int, tokens: int) -> int:
    """Two operations a weight; 12 d_model² weights a layer (arXiv:2001.08361, section 2.1)."""
    return 2 * 12 * n_layers * d_model**2 * tokens


def _looks_up(model: str) -> bool:
    """Whether a model is a baseline that runs no target."""
    return model.startswith(BASELINE) and "target-model" not in find_baseline(model).needs


def _model(model: str, suite: Suite) -> str:
    """The model that runs: a baseline's is the suite's target."""
    return str(suite.manifest["target"].get("name")) if model.startswith(BASELINE) else model


def fetch_target(model: str, suite: Suite) -> TargetSpec | None:
    """Return the named target that would have to be downloaded first, or None."""
    if _looks_up(model) and not suite.has_windows:
        return None
    found = locate(_model(model, suite))
    return found if isinstance(found, TargetSpec) and not prepared_dir(found).is_dir() else None


def size_of(model: str) -> tuple[int, int] | None:
    """Return layers and width of a model that is here or named, else None."""
    found = locate(model)
    if isinstance(found, TargetSpec):
        return found.n_layers, found.d_model
    # the folder of an adapter has no configuration of its own
    if isinstance(found, Path) and (found / "config.json").is_file():
        return layers_and_width(found)
    return None


def operations_per_second() -> float:
    """Measure this machine's float32 matrix product, in operations per second."""
    matrix = np.ones((_MATRIX, _MATRIX), dtype=np.float32)
    start = time.perf_counter()
    for _ in range(_TRIALS):
        matrix @ matrix
    return _TRIALS * 2 * _MATRIX**3 / (time.perf_counter() - start)
