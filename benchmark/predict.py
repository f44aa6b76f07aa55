"""Queries in, run file out: asks an explainer and keeps its raw replies.

Owns the loop of a run. It has no argument through which ground truth could enter, and never opens
the truth or the oracle file of the split it answers; solved queries come from the training split.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from introspect_bench.benchmark.asking import ask, reply_fields
from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.explainer import Explainer, ExplainerCard
from introspect_bench.benchmark.prompting import (
    TRAIN,
    Question,
    build_prompt,
    cut_batches,
    render_all,
    shots_by_template,
)
from introspect_bench.benchmark.records import Prompt
from introspect_bench.benchmark.runheader import key_base, make_header, row_fields
from introspect_bench.benchmark.runwriter import Resume, RunWriter, open_run
from introspect_bench.benchmark.selection import check_task, select_queries
from introspect_bench.benchmark.suite import Suite, checked_vectors
from introspect_bench.benchmark.task import Task

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


def predict(
    *,
    task: Task,
    suite: Suite,
    split: str,
    explainer: Explainer,
    card: ExplainerCard,
    out: Path,
    batch_size: int,
    limit: int | None = None,
    queries: Sequence[str] | None = None,
    resume: Resume = "auto",
    seed: int = 0,
    shots: int = 0,
    no_vector: bool = False,
    generation: Mapping[str, Any] | None = None,
    selftest: Mapping[str, Any] | None = None,
    device: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Answer the queries of a split and return the path of the run file.

    Killed at any moment and called again with the same arguments, it computes only what is missing.
    Batches do not depend on what is already there: a batch that lacks a row is asked whole, and
    only its missing rows are kept.

    Args:
        task: the task of the suite.
        suite: the frozen queries.
        split: which of them; `mini` is allowed.
        explainer: who answers.
        card: description of the explainer, for the header.
        out: the run file.
        batch_size: most prompts in one call.
        limit: answer the first so many queries only; marks the run partial.
        queries: answer the queries with these ids only; marks the run partial.
        resume: what to do about an existing file.
        seed: chooses the solved queries; recorded.
        shots: how many solved training queries to show before each question.
        no_vector: withhold the vectors, as a control; recorded.
        generation: settings of the explainer's generation, for the header.
        selftest: results of the backend's self-tests, for the header.
        device: name of the compute device, for the header.
        on_progress: called with queries answered and queries in all.

    Raises:
        UsageError: an argument is impossible, or the explainer breaks its protocol.
        IntegrityError: task and suite do not fit, a file is corrupt, or the file is another run's.
        MissingPartError: the run file can't be written.
    """
    check_task(task, suite)
    _check_shots(split, shots)
    everything = suite.queries(split)
    selected = select_queries(everything, limit=limit, ids=queries)
    header = make_header(
        task=task,
        suite=suite,
        split=split,
        selected=selected,
        limit=limit,
        query_ids=queries,
        partial=len(selected) < len(everything),
        card=card,
        shots=shots,
        no_vector=no_vector and task.uses_vector,
        generation={**(generation or {}), "seed": seed, "batch_size": batch_size},
        selftest=selftest or {},
        device=device,
    )
    batches = cut_batches(render_all(task, selected), batch_size)
    with open_run(out, header, resume=resume) as writer:
        if unknown := sorted(writer.rows.keys() - {query.id for query in selected}):
            raise IntegrityError(f"{out}: query id {unknown[0]} is not among the run's queries")
        if not writer.complete:
            prompts = _prompts(task, suite, split, batches, shots, seed, no_vector)
            _answer(writer, prompts, explainer, task, key_base(header), on_progress)
    return out


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
    _check_shots(split, shots)
    selected = select_queries(suite.queries(split), limit=limit, ids=queries)
    batches = cut_batches(render_all(task, selected), batch_size)
    count = count_tokens or (lambda text: round(len(text) / CHARACTERS_PER_TOKEN))
    tokens = 0
    for batch in _prompts(task, suite, split, batches, shots, seed, no_vector=True):
        shared = "".join(turn.question + turn.answer for turn in batch[0].shots)
        tokens += len(batch) * count(batch[0].instructions + shared)
        tokens += sum(count(prompt.question) for prompt in batch)
    return Plan(
        queries=len(selected),
        batches=len(batches),
        prompt_tokens=tokens,
        disk_bytes=_HEADER_BYTES + _ROW_BYTES * len(selected),
    )


def _check_shots(split: str, shots: int) -> None:
    if shots < 0:
        raise UsageError(f"the number of solved queries is {shots}; give 0 or more")
    if shots and split == TRAIN:
        raise UsageError("solved queries come from the train split; answer another one")


def _prompts(
    task: Task,
    suite: Suite,
    split: str,
    batches: Sequence[Sequence[Question]],
    shots: int,
    seed: int,
    no_vector: bool,
) -> list[list[Prompt]]:
    """Build the prompts of every batch."""
    asked = [question.query for batch in batches for question in batch]
    vectors = None
    if task.uses_vector and not no_vector:
        vectors = checked_vectors(suite, split, asked)
        if vectors is None:
            raise IntegrityError(f"{suite.root}: task {task.name} needs vectors, {split} has none")
    solved = shots_by_template(
        task=task,
        suite=suite,
        templates=(batch[0].rendered.template for batch in batches),
        n=shots,
        seed=seed,
        no_vector=no_vector,
    )
    return [
        [build_prompt(question, vectors, solved[question.rendered.template]) for question in batch]
        for batch in batches
    ]


def _answer(
    writer: RunWriter,
    batches: Sequence[Sequence[Prompt]],
    explainer: Explainer,
    task: Task,
    base: str,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    """Ask for every batch that lacks a row, then write the footer."""
    total = sum(len(batch) for batch in batches)
    number = 0
    for batch in batches:
        rows = [row_fields(base, i, prompt) for i, prompt in enumerate(batch, start=number)]
        number += len(batch)
        for row in rows:
            if writer.rows.get(row["qid"], row).get("key") != row["key"]:
                raise IntegrityError(
                    f"{writer.path}: the row of query {row['qid']} was made from another prompt"
                )
        if all(row["qid"] in writer.rows for row in rows):
            continue
        if on_progress:
            on_progress(len(writer.rows), total)
        start = time.perf_counter()
        replies = ask(explainer, batch)
        ms = (time.perf_counter() - start) * 1000 / len(batch)
        done = [
            {**row, **reply_fields(task, reply), "ms": ms}
            for row, reply in zip(rows, replies, strict=True)
        ]
        writer.append([row for row in done if row["qid"] not in writer.rows])
    if on_progress:
        on_progress(total, total)
    _finish(writer, task)


def _finish(writer: RunWriter, task: Task) -> None:
    rows = writer.rows.values()
    unparsed = sum(task.parse(row["raw"]) is None for row in rows)
    writer.finish(
        counts={"scored": len(rows) - unparsed, "unparsed": unparsed},
        cost={
            "seconds": sum(row.get("ms", 0) for row in rows) / 1000,
            "tokens_in": sum(row.get("n_in", 0) for row in rows),
            "tokens_out": sum(row.get("n_out", 0) for row in rows),
        },
    )
