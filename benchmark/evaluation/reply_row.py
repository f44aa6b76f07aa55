"""What the row of a run file holds of a reply."""

from __future__ import annotations

import dataclasses
from typing import Any

from ..records import Completion
from ..runs.run import MAX_LINE_BYTES, encode_line
from ..task import Task

MAX_REPLY_BYTES = MAX_LINE_BYTES - 1024  # Of what a row holds of a reply
KEPT_BYTES = 4096  # Of one that has more; as many as can be submitted


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
    reason = reply.reason or reason
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
