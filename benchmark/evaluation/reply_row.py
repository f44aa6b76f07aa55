"""What counts as one reply of an explainer, and what the row of a run file holds of it."""

from __future__ import annotations

import dataclasses
import math
import operator
import reprlib
from typing import Any, TypeGuard

import numpy as np

from ..errors import UsageError
from ..records import Completion
from ..runs.run import MAX_LINE_BYTES, encode_line
from ..task import Task

MAX_TOKENS = 10**9  # Of one prompt or reply, so that the run's sum can be read back
MAX_REPLY_BYTES = MAX_LINE_BYTES - 1024  # Of what a row holds of a reply
KEPT_BYTES = 4096  # Of one that has more; as many as can be submitted


def check_reply(reply: object, name: str) -> None:
    """Refuse what is no reply, and repair nothing; `name` is the class that gave it."""
    text = reply.text if isinstance(reply, Completion) else reply
    if not isinstance(reply, Completion) or not isinstance(text, str):
        raise UsageError(
            f"{name}.complete returned a {type(text).__name__} as a reply, "
            f"expected text or a Completion"
        )
    sure = reply.confidence
    expected = {
        "n_in": (_is_count(reply.n_in), f"a whole number from 0 to {MAX_TOKENS}"),
        "n_out": (_is_count(reply.n_out), f"a whole number from 0 to {MAX_TOKENS}"),
        "confidence": (
            sure is None or (_is_real(sure) and 0 <= sure <= 1),
            "None or a number from 0 to 1",
        ),
    }
    for field, (fits, what) in expected.items():
        if not fits:
            raise UsageError(
                f"{name}.complete returned a Completion with {field} "
                f"{reprlib.repr(getattr(reply, field))}, expected {what}"
            )
    logprobs = all(_is_real(one) and -math.inf < one <= 0 for one in reply.logprobs)
    if len(reply.logprobs) != len(reply.ends) or not logprobs:
        raise UsageError(
            f"{name}.complete returned a Completion whose logprobs are not one number of 0 or less "
            "for each of its ends"
        )


def _is_real(value: object) -> TypeGuard[float]:
    return isinstance(value, float | int | np.floating) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    """Whether a value is a whole number of Python, numpy or torch, within the limits."""
    try:
        return not isinstance(value, bool) and 0 <= operator.index(value) <= MAX_TOKENS  # type: ignore[arg-type]
    except TypeError:
        return False


def reply_fields(task: Task, reply: Completion) -> dict[str, Any]:
    """Return the fields of a row that come from the reply; only `raw` is ever scored.

    A reply that no line of a run file can hold is cut, and its `reason` says so.
    """
    fields = _fields(task, reply)
    if len(encode_line(fields)) <= MAX_REPLY_BYTES:
        return fields
    whole = reply.text.encode("utf-8", "surrogatepass")
    kept = whole[:KEPT_BYTES].decode("utf-8", "ignore")
    cut = dataclasses.replace(reply, text=kept, logprobs=(), ends=())
    return _fields(task, cut) | {"reason": f"cut to {KEPT_BYTES} of {len(whole)} bytes"}


def _fields(task: Task, reply: Completion) -> dict[str, Any]:
    answer = task.parse(reply.text)
    reason = None if answer else ("no answer found" if reply.text.strip() else "empty reply")
    return {
        "raw": reply.text,
        "parsed": dataclasses.asdict(answer) if answer else None,
        "status": "scored" if answer else "unparsed",
        "reason": reply.reason or reason,
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
