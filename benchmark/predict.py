"""Queries in, run file out: asks an explainer and keeps its raw replies.

Owns the loop of a run. It has no argument through which ground truth could enter, and never opens
the truth or the oracle file of the split it answers; solved queries come from the training split.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from introspect_bench.benchmark.asking import ask, reply_fields
from introspect_bench.benchmark.errors import IntegrityError
from introspect_bench.benchmark.explainer import Explainer, ExplainerCard
from introspect_bench.benchmark.prompting import (
    build_prompts,
    check_shots,
    cut_batches,
    render_all,
)
from introspect_bench.benchmark.records import Prompt
from introspect_bench.benchmark.runheader import key_base, make_header, row_fields
from introspect_bench.benchmark.runwriter import Resume, RunWriter, open_run
from introspect_bench.benchmark.selection import check_task, select_queries
from introspect_bench.benchmark.suite import Suite
from introspect_bench.benchmark.task import Task


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
    shuffled: bool = False,
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
        shuffled: give each query another one's vector, as a control; recorded.
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
        card=card,
        shots=shots,
        no_vector=no_vector and task.uses_vector,
        shuffled=shuffled and task.uses_vector,
        generation={**(generation or {}), "seed": seed, "batch_size": batch_size},
        selftest=selftest or {},
        device=device,
    ).to_json()
    batches = cut_batches(render_all(task, selected), batch_size)
    with open_run(out, header, resume=resume) as writer:
        if unknown := sorted(writer.rows.keys() - {query.id for query in selected}):
            raise IntegrityError(f"{out}: query id {unknown[0]} is not among the run's queries")
        if not writer.complete:
            prompts = build_prompts(
                task=task,
                suite=suite,
                split=split,
                batches=batches,
                shots=shots,
                seed=seed,
                no_vector=no_vector,
                shuffled=shuffled,
            )
            _answer(writer, prompts, explainer, task, key_base(header), on_progress)
    return out


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
