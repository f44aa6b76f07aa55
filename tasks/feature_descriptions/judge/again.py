"""Judgements made again: whether what a run file says a judge found is what the judge finds.

A judgement is kept so that scoring needs no model, and whoever sends a run file could write another
one: predictions that are the true activations would score a perfect correlation for any text. The
frozen judges find the same again from the text alone, up to the last bits of another machine. Bytes
that are close are not enough: a correlation does not change with scale, so that a few steps in the
right places turn a flat prediction into a perfect one. What is compared is what the bytes score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ....benchmark.cache import OnAnswers, OnProgress, silent
from ....benchmark.runs.run import PREDICTED, read_run, stored_bytes
from ....benchmark.scoring.judged import Truths
from ....benchmark.suite.features import WINDOW, WINDOWS
from ....benchmark.suite.suite import Suite
from ....benchmark.task import Task
from . import judges as known
from .judges import Judge
from .run import BATCH, find_work

STEPS = 3
"""Largest difference of a stored byte (25.5 to a unit of activation) that rounding on another
machine can make; a float32 differs in far less than one."""
SCORES = 0.02
"""Largest difference of a correlation; four times as much of 2 AUROC - 1, which jumps where tokens
are tied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejudged:
    """One judgement beside the same one made again."""

    judge: str
    """Id of the judge."""
    qid: str
    """The query."""
    same: bool
    """Whether the judge finds what the file says."""


def judge_again(
    path: Path,
    task: Task,
    suite: Suite,
    *,
    qids: Sequence[str],
    device: str = "cpu",
    on_fetch: OnProgress = silent,
    on_answers: OnAnswers | None = None,
) -> dict[str, bool]:
    """By query, whether the suite's own judge finds again what a run says; see `rejudge`."""
    opened = known.open_judges(suite, names=known.NAMES[:1], device=device, on_progress=on_fetch)
    found = rejudge(path, task=task, suite=suite, judges=opened, qids=qids, on_answers=on_answers)
    same = dict.fromkeys((one.qid for one in found), True)
    return same | {one.qid: False for one in found if not one.same}


def rejudge(
    path: Path,
    *,
    task: Task,
    suite: Suite,
    judges: Sequence[Judge],
    qids: Sequence[str],
    on_answers: OnAnswers | None = None,
) -> list[Rejudged]:
    """Have some answers of a judged run judged again; the file is not changed.

    Args:
        path: the run file.
        task: the task it is about.
        suite: the suite it is about, whose truth is opened.
        judges: who judges.
        qids: the queries; those without an answer are left out.
        on_answers: told how far each judge is.

    Raises:
        IntegrityError: the run is corrupt or about another suite, or was judged on other texts.
    """
    run, work = read_run(path), find_work(path, task, suite)
    chosen = [place for place, qid in enumerate(work.qids) if qid in set(qids)]
    truths = Truths(suite, run.header.task.split)
    found = []
    for judge in judges:
        for start in range(0, len(chosen), BATCH):
            rows = chosen[start : start + BATCH]
            again = judge.find([work.texts[row] for row in rows], work.windows[rows])
            for row, new in zip(rows, again, strict=True):
                qid = work.qids[row]
                where = f"{path}: {judge.id}, query {qid}"
                old = run.judgements.get((judge.id, qid), {})
                same = _same(truths, qid, old, new, where)
                found.append(Rejudged(judge=judge.id, qid=qid, same=same))
            if on_answers:
                on_answers(judge.id, start + len(rows), len(chosen))
    return found


def _same(
    truths: Truths, qid: str, old: Mapping[str, Any], new: Mapping[str, str], where: str
) -> bool:
    """Whether two findings say the same of how a text was read, are close, and score the same."""
    if old.get("mapped") != new.get("mapped"):
        return False
    a, b = (stored_bytes(one.get(PREDICTED, ""), where) for one in (old, new))
    if a == b:
        return True
    if len(a) != len(b):
        return False
    # wide enough for every difference
    values = [
        np.frombuffer(data, np.uint8).astype(np.int64).reshape(WINDOWS, WINDOW) for data in (a, b)
    ]
    if np.abs(values[0] - values[1]).max() > STEPS:
        return False
    one, other = (truths.score(qid, value) for value in values)
    areas = abs((one.matched_auroc or 0) - (other.matched_auroc or 0))
    return areas <= 4 * SCORES and abs(one.weighted_r - other.weighted_r) <= SCORES
