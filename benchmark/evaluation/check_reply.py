"""What counts as one reply of an explainer; nothing is repaired."""

from __future__ import annotations

import math
import operator
import reprlib

import numpy as np

from ..errors import UsageError
from ..records import Completion

MAX_TOKENS = 10**9  # Of one prompt or reply, so that the run's sum can be read back


def check_reply(reply: object, name: str) -> None:
    """Refuse what is no reply; `name` is the class that gave it."""
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
