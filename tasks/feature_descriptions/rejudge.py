"""Judgements made again: whether what a run file says a judge found is what the judge finds.

A judgement is kept so that scoring needs no model, and whoever sends a run file could write another
one: predictions that are the true activations would score a perfect correlation for any text. The
frozen judges find the same again from the text alone, up to the last bits of another machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from introspect_bench.benchmark.judgements import stored_bytes
from introspect_bench.benchmark.runfile import read_run
from introspect_bench.benchmark.suite import Suite
from introspect_bench.benchmark.task import Task
from introspect_bench.tasks.feature_descriptions.judge_run import BATCH, OnAnswers, find_work
from introspect_bench.tasks.feature_descriptions.judges import Judge, Shown

MEAN_STEPS = 1.0
"""Largest mean difference, in stored steps (25.5 of a unit of activation, 127 of a unit vector),
that counts as the same. Rounding on another machine moves few values by one step; predictions of
another description differ by many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejudged:
    """One judgement beside the same one made again."""

    judge: str
    """Id of the judge."""
    qid: str
    """The query."""
    mean_steps: float
    """Mean difference of the stored bytes, 0 to 255; 255 if one of them is missing or shorter."""

    @property
    def same(self) -> bool:
        """Whether the judge finds what the file says."""
        return self.mean_steps <= MEAN_STEPS


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
        suite: the suite it is about; its truth is not opened.
        judges: who judges.
        qids: the queries; those without an answer are left out.
        on_answers: told how far each judge is.

    Raises:
        IntegrityError: the run is corrupt or about another suite, or was judged on other texts.
    """
    run, work = read_run(path), find_work(path, task, suite)
    chosen = [place for place, qid in enumerate(work.qids) if qid in set(qids)]
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
                steps = _difference(old, new, signed=judge.field == "embedding")
                found.append(Rejudged(judge=judge.id, qid=qid, mean_steps=steps))
            if on_answers:
                on_answers(judge.id, start + len(rows), len(chosen))
    return found


def _difference(old: bytes, new: bytes, *, signed: bool) -> float:
    """Mean difference of two strings of bytes; as large as can be if one is longer."""
    if len(old) != len(new):
        return 255.0
    kind = np.int8 if signed else np.uint8
    a, b = (np.frombuffer(data, dtype=kind).astype(np.float64) for data in (old, new))
    return float(np.abs(a - b).mean())
