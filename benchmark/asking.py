"""One call of an explainer: checks what comes back and turns it into the fields of a row.

Owns the explainer's side of the contract. A reply is kept as it is; a broken contract is named,
never mended.
"""

from __future__ import annotations

import dataclasses
import math
import operator
import reprlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.explainer import Explainer
from introspect_bench.benchmark.records import Completion, Prompt
from introspect_bench.benchmark.task import Task

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
