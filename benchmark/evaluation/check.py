"""What a run would do and whether it can: refusals before weights are loaded, and estimates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from introspect_bench.benchmark.explainer import ExplainerCard
from introspect_bench.benchmark.prompts import (
    build_prompts,
    check_shots,
    cut_batches,
    render_all,
)
from introspect_bench.benchmark.runs.new_header import make_header
from introspect_bench.benchmark.runs.writer import Resume, check_run_file
from introspect_bench.benchmark.suite.select import check_task, select_queries
from introspect_bench.benchmark.suite.suite import Suite
from introspect_bench.benchmark.task import Task

CHARACTERS_PER_TOKEN = 3.5
"""Rule of thumb for English prompts."""
_HEADER_BYTES = 4_000
_ROW_BYTES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run would do."""

    queries: int
    """Queries to answer."""
    batches: int
    """Calls of the explainer."""
    prompt_tokens: int
    """Tokens of all prompts together; an estimate unless a counter was given."""
    disk_bytes: int
    """Estimated size of the run file."""


def check_run(
    *,
    task: Task,
    suite: Suite,
    split: str,
    out: Path,
    batch_size: int,
    limit: int | None = None,
    queries: Sequence[str] | None = None,
    resume: Resume = "auto",
    seed: int = 0,
    shots: int = 0,
    no_vector: bool = False,
    shuffled: bool = False,
    settings: Mapping[str, Any] | None = None,
    generation: Mapping[str, Any] | None = None,
) -> None:
    """Refuse what `predict` would refuse whoever answers; loads and writes nothing."""
    check_task(task, suite)
    check_shots(split, shots, seed)
    everything = suite.queries(split)
    selected = select_queries(everything, limit=limit, ids=queries)
    header = make_header(
        suite=suite,
        split=split,
        selected=selected,
        limit=limit,
        query_ids=queries,
        partial=len(selected) < len(everything),
        card=ExplainerCard(name="", kind="", settings=settings or {}),
        shots=shots,
        no_vector=no_vector and task.uses_vector,
        shuffled=shuffled and task.uses_vector,
        generation={**(generation or {}), "seed": seed, "batch_size": batch_size},
        selftest={},
        device=None,
    ).to_json()
    check_run_file(out, header, resume=resume)


def plan(
    *,
    task: Task,
    suite: Suite,
    split: str,
    batch_size: int,
    limit: int | None = None,
    queries: Sequence[str] | None = None,
    seed: int = 0,
    shots: int = 0,
    count_tokens: Callable[[str], int] | None = None,
) -> Plan:
    """Say what `predict` with the same arguments would do; loads no model."""
    check_task(task, suite)
    check_shots(split, shots, seed)
    selected = select_queries(suite.queries(split), limit=limit, ids=queries)
    batches = cut_batches(render_all(task, selected), batch_size)
    count = count_tokens or (lambda text: round(len(text) / CHARACTERS_PER_TOKEN))
    tokens = 0
    for batch in build_prompts(
        task=task,
        suite=suite,
        split=split,
        batches=batches,
        shots=shots,
        seed=seed,
        no_vector=True,
    ):
        shared = "".join(turn.question + turn.answer for turn in batch[0].shots)
        tokens += len(batch) * count(batch[0].instructions + shared)
        tokens += sum(count(prompt.question) for prompt in batch)
    return Plan(
        queries=len(selected),
        batches=len(batches),
        prompt_tokens=tokens,
        disk_bytes=_HEADER_BYTES + _ROW_BYTES * len(selected),
    )
