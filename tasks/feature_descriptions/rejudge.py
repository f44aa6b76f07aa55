"""Judgements made again: whether what a run file says a judge found is what the judge finds.

A judgement is kept so that scoring needs no model, and whoever sends a run file could write another
one: predictions that are the true activations would score a perfect correlation for any text. The
frozen judges find the same again from the text alone, up to the last bits of another machine. Bytes
that are close are not enough: a correlation does not change with scale, so that a few steps in the
right places turn a flat prediction into a perfect one. What is compared is what the bytes score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from introspect_bench.benchmark.correlations import signed_r
from introspect_bench.benchmark.describing import detection_scores
from introspect_bench.benchmark.judgements import stored_bytes
from introspect_bench.benchmark.runfile import read_run
from introspect_bench.benchmark.suite import Suite
from introspect_bench.benchmark.suite_features import arrays
from introspect_bench.benchmark.task import Task
from introspect_bench.tasks.feature_descriptions.judge_run import BATCH, OnAnswers, find_work
from introspect_bench.tasks.feature_descriptions.judges import Judge, Shown

STEPS = 3
"""Largest difference of a stored byte (25.5 to a unit of activation, 127 to a unit vector) that
rounding on another machine can make; a float32 differs in far less than one."""
SCORES = 0.02
"""Largest difference of a correlation; twice as much of an area under a ROC curve, which jumps
where windows are tied."""
COSINE = 0.9999
"""Smallest cosine of two embeddings of one text: two or three of 384 values differ by one step."""

Steps = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejudged:
    """One judgement beside the same one made again."""

    judge: str
    """Id of the judge."""
    qid: str
    """The query."""
    same: bool
    """Whether the judge finds what the file says."""


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
    compare = _Comparing(suite, run.header["task"]["split"])
    found = []
    for judge in judges:
        for start in range(0, len(chosen), BATCH):
            rows = chosen[start : start + BATCH]
            shown = Shown(
                windows=work.shown.windows[rows],
                silent=None if work.shown.silent is None else work.shown.silent[rows],
            )
            again = judge.find([work.texts[row] for row in rows], shown)
            for row, new in zip(rows, again, strict=True):
                qid = work.qids[row]
                stored = run.judgements.get((judge.id, qid), {}).get(judge.field, "")
                old = stored_bytes(stored, f"{path}: {judge.id}, query {qid}")
                same = compare.same(judge.field, qid, old, new)
                found.append(Rejudged(judge=judge.id, qid=qid, same=same))
            if on_answers:
                on_answers(judge.id, start + len(rows), len(chosen))
    return found


class _Comparing:
    """Compares stored bytes by what they score."""

    def __init__(self, suite: Suite, split: str) -> None:
        self._place = {query.id: row for row, query in enumerate(suite.queries(split))}
        true = arrays(suite, split, "activations")
        self._active, self._kinds = true["activations"], true["kinds"]

    def same(self, field: str, qid: str, old: bytes, new: bytes) -> bool:
        """Whether two findings are of the same size, close, and score the same."""
        if old == new:
            return True
        if len(old) != len(new):
            return False
        kind = np.int8 if field == "embedding" else np.uint8
        # exact, and wide enough for every difference
        a, b = (np.frombuffer(data, kind).astype(np.int64) for data in (old, new))
        if np.abs(a - b).max(initial=0) > STEPS:
            return False
        return _same_direction(a, b) if field == "embedding" else self._same_scores(qid, a, b)

    def _same_scores(self, qid: str, a: Steps, b: Steps) -> bool:
        row = self._place[qid]
        true, kinds = self._active[row : row + 1], self._kinds[row : row + 1]
        shaped = [one.astype(np.uint8).reshape(true.shape) for one in (a, b)]
        r = [float(signed_r(true, one)[0][0]) for one in shaped]
        area = [detection_scores(one, kinds)[0] for one in shaped]
        return abs(r[0] - r[1]) <= SCORES and abs(area[0] - area[1]) <= 2 * SCORES


def _same_direction(a: Steps, b: Steps) -> bool:
    """Whether two embeddings point the same way."""
    left, right = a.astype(np.float64), b.astype(np.float64)
    lengths = float(np.linalg.norm(left) * np.linalg.norm(right))
    return lengths > 0 and float(left @ right) / lengths >= COSINE
