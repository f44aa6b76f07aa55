"""What a result says of a run beside its metrics: replies nobody can read, labels come to again.

Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..records import Replied, Scored
from ..runs.run import Run
from ..task import Task

CALCULATOR = "baseline/calculator"
"""Who carries out each query's intervention, as its runs name it."""
LONGEST = 300
"""Characters of a reply that are shown."""


def unread(replies: Sequence[Replied], task: Task) -> dict[str, Any] | None:
    """Return one reply that cannot be read and the form expected, if that is so of most of them.

    Returns:
        `unparsed` and `answered` (numbers of replies), `id` of a query, its `reply` (the first
        characters) and the form `expected`; None if half of the replies or more can be read.
    """
    answered = [one for one in replies if one.raw is not None]
    failed = [one for one in answered if one.answer is None]
    if 2 * len(failed) <= len(answered):
        return None
    # an empty reply shows nothing of the explainer's form
    one = next((one for one in failed if (one.raw or "").strip()), failed[0])
    return {
        "unparsed": len(failed),
        "answered": len(answered),
        "id": one.query.id,
        "reply": (one.raw or "")[:LONGEST],
        "expected": task.form,
    }


def reproduced(
    run: Run, graded: Sequence[Replied], is_right: Callable[[Scored], tuple[bool, bool]]
) -> dict[str, int] | None:
    """Count the labels that the calculator came to again; None for any other explainer's run."""
    if run.header["explainer"]["name"] != CALCULATOR:
        return None
    same = sum(isinstance(one, Scored) and all(is_right(one)) for one in graded)
    return {"n": same, "of": len(graded)}
