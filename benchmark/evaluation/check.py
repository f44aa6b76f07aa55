"""A run before it begins: what it would do, and whether it can.

Owns what is refused before weights are loaded, and estimates. Nothing here writes, loads a model,
or opens the truth of the split to answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..explainer import ExplainerCard
from ..prompts import build_prompts, check_shots, cut_batches, render_all
from ..runs.new_header import make_header
from ..runs.writer import Resume, check_run_file
from ..suite.select import check_task, select_queries
from ..suite.suite import Suite
from ..task import Task

CHARACTERS_PER_TOKEN = 3.5
"""Rule of thumb for English prompts, used where no tokenizer is at hand."""
_HEADER_BYTES = 4_000
_ROW_BYTES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run would do, found without loading a model."""

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
    """Refuse what `predict` would refuse whoever answers; loads and writes nothing.

    Args:
        task: as in `predict`, like all that follow.
        suite: as in `predict`.
        split: as in `predict`.
        out: as in `predict`.
        batch_size: as in `predict`.
        limit: as in `predict`.
        queries: as in `predict`.
        resume: as in `predict`.
        seed: as in `predict`.
        shots: as in `predict`.
        no_vector: as in `predict`.
        shuffled: as in `predict`.
        settings: of the explainer's settings, those the user gave.
        generation: likewise of its generation.

    Raises:
        UsageError: an argument is impossible, or has no JSON form.
        IntegrityError: task and suite do not fit, a file is corrupt, or the file is another run's.
    """
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
    """Say what `predict` with the same arguments would do; loads no model.

    Args:
        task: the task of the suite.
        suite: the frozen queries.
        split: which of them.
        batch_size: most prompts in one call.
        limit: as in `predict`.
        queries: as in `predict`.
        seed: as in `predict`.
        shots: as in `predict`.
        count_tokens: tokens of a text; without it, characters over `CHARACTERS_PER_TOKEN`.

    Raises:
        UsageError: an argument is impossible.
        IntegrityError: task and suite do not fit, or a file is corrupt.
    """
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
