"""Queries in, run file out: asks an explainer and keeps its raw replies.

Owns the loop of a run. It has no argument through which ground truth could enter, and never opens
the truth or the oracle file of the split it answers; solved queries come from the training split.
A reply is kept as it is; an explainer that breaks the contract is named, never mended.
"""

from __future__ import annotations

import dataclasses
import math
import operator
import reprlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import IntegrityError, UsageError
from ..explainer import Explainer, ExplainerCard
from ..prompts import build_prompts, check_shots, cut_batches, render_all
from ..records import Completion, Prompt
from ..runs.new_header import key_base, make_header, row_fields
from ..runs.writer import Resume, RunWriter, open_run
from ..suite.select import check_task, select_queries
from ..suite.suite import Suite
from ..task import Task


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


MAX_TOKENS = 10**9
"""Most tokens of one prompt or reply; keeps the sum over a run within what its reader accepts."""


def ask(explainer: Explainer, prompts: Sequence[Prompt]) -> list[Completion]:
    """Call an explainer once.

    Raises:
        UsageError: it did not return one text or `Completion` for each prompt; names its class.
    """
    name = type(explainer).__qualname__
    replies = explainer.complete(prompts)
    # A text is a sequence too, of one-letter replies.
    if isinstance(replies, str) or not isinstance(replies, Sequence):
        raise UsageError(
            f"{name}.complete returned a {type(replies).__name__}, expected a list of replies"
        )
    if len(replies) != len(prompts):
        raise UsageError(
            f"{name}.complete returned {len(replies)} replies to {len(prompts)} prompts"
        )
    found = [Completion(text=reply) if isinstance(reply, str) else reply for reply in replies]
    for reply in found:
        _check(reply, name)
    return found


def reply_fields(task: Task, reply: Completion) -> dict[str, Any]:
    """Return the fields of a row that come from the reply; only `raw` is ever scored."""
    answer = task.parse(reply.text)
    reason = None if answer else ("no answer found" if reply.text.strip() else "empty reply")
    return {
        "raw": reply.text,
        "parsed": dataclasses.asdict(answer) if answer else None,
        "status": "scored" if answer else "unparsed",
        "reason": reason,
        "n_in": int(reply.n_in),
        "n_out": int(reply.n_out),
        **_sureness(task, reply, readable=answer is not None),
    }


def _sureness(task: Task, reply: Completion, *, readable: bool) -> dict[str, float]:
    """Return how sure of its answer an explainer was, as far as that is known."""
    found = {} if reply.confidence is None else {"confidence": float(reply.confidence)}
    if not reply.logprobs:
        return found
    found["logprob_reply"] = round(sum(reply.logprobs), 6)
    end = task.verdict_end(reply.text) if task.verdict_end and readable else None
    if end is not None:
        n = sum(before < end for before in (0, *reply.ends[:-1]))
        found["logprob_verdict"] = round(sum(reply.logprobs[:n]), 6)
    return found


def _check(reply: object, name: str) -> None:
    text = reply.text if isinstance(reply, Completion) else reply
    if not isinstance(reply, Completion) or not isinstance(text, str):
        raise UsageError(
            f"{name}.complete returned a {type(text).__name__} as a reply, "
            f"expected text or a Completion"
        )
    for field in ("n_in", "n_out"):
        count = getattr(reply, field)
        if not _is_count(count):
            raise UsageError(
                f"{name}.complete returned a Completion with {field} {reprlib.repr(count)}, "
                f"expected a whole number from 0 to {MAX_TOKENS}"
            )
    if reply.confidence is not None and not _is_share(reply.confidence):
        raise UsageError(
            f"{name}.complete returned a Completion with confidence "
            f"{reprlib.repr(reply.confidence)}, expected None or a number from 0 to 1"
        )
    if len(reply.logprobs) != len(reply.ends) or not all(map(_is_logprob, reply.logprobs)):
        raise UsageError(
            f"{name}.complete returned a Completion whose logprobs are not one number of 0 or less "
            "for each of its ends"
        )


def _is_share(value: object) -> bool:
    return _is_real(value) and 0 <= float(value) <= 1  # type: ignore[arg-type]


def _is_logprob(value: object) -> bool:
    return _is_real(value) and -math.inf < float(value) <= 0  # type: ignore[arg-type]


def _is_real(value: object) -> bool:
    return isinstance(value, float | int | np.floating) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    """Whether a value is a whole number of Python, numpy or torch, within the limits."""
    try:
        return not isinstance(value, bool) and 0 <= operator.index(value) <= MAX_TOKENS  # type: ignore[arg-type]
    except TypeError:
        return False
