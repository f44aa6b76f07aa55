"""Judging a run: judges append what they find to the run file, or find it again.

The loop over answers continues where a killed one was. The suite's truth is opened only to compare
what judgements score: whoever sends a run file could write predictions that are the true
activations, a perfect correlation for any text. The frozen judges find the same again from the text
alone, up to the last bits of another machine. Bytes that are close are not enough: a correlation
does not change with scale, so that a few steps in the right places turn a flat prediction into a
perfect one. What is compared is what the bytes score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ....benchmark.cache import Progress, silent
from ....benchmark.errors import IntegrityError, UsageError
from ....benchmark.records import Description
from ....benchmark.runs.run import PREDICTED, Key, read_replies, read_run, stored_bytes
from ....benchmark.runs.writer import RunWriter, open_judging
from ....benchmark.scoring.judged import Truths
from ....benchmark.suite.features import WINDOW, WINDOWS, arrays
from ....benchmark.suite.suite import Suite
from ....benchmark.task import Task
from ....benchmark.team import team
from ..windows import Ids
from . import judges as known
from .judges import DescriptionJudge

BATCH = 28  # answers judged together and then written; fixed, so that a continued run is the same
STEPS = 3
"""Largest difference of a stored byte (25.5 to a unit of activation) that rounding on another
machine can make; a float32 differs in far less than one."""
SCORES = 0.02
"""Largest difference of a correlation; four times as much of 2 AUROC - 1, which jumps where tokens
are tied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What judges of a run read: answered queries, their descriptions and windows (n, 16, 32)."""

    qids: Sequence[str]
    texts: Sequence[str]
    windows: Ids


def judge(
    path: Path,
    task: Task,
    suite: Suite,
    *,
    names: Sequence[str] = (),
    device: str = "cpu",
    progress: Progress = silent,
) -> int:
    """Append to a complete run what judges find in its descriptions; return how many judgements.

    The suite's own judge if no names are given.
    """
    judges = known.open_judges(
        suite, names=names or known.NAMES[:1], device=device, progress=progress
    )
    return judge_run(path, task=task, suite=suite, judges=judges, progress=progress)


def judge_run(
    path: Path,
    *,
    task: Task,
    suite: Suite,
    judges: Sequence[DescriptionJudge],
    progress: Progress = silent,
) -> int:
    """Append the judgements that a complete run lacks, judge by judge; return how many.

    Refuses with `UsageError` an incomplete run, answers that need no judge and a file that another
    process has; with `IntegrityError` a run about another suite or judged on other texts.
    """
    if not suite.describes:
        raise UsageError(f"{path}: answers to {task.name} need no judge; score it as it is")
    with ExitStack() as stack:
        writers: list[RunWriter] = []  # the first process has one

        def open_there() -> tuple[Work, set[Key]]:
            writers.append(stack.enter_context(open_judging(path)))
            return find_work(path, task, suite), set(writers[0].judgements)

        work, there = team().share(open_there)
        return sum(_judge(writers, judge, work, there, progress) for judge in judges)


def find_work(path: Path, task: Task, suite: Suite) -> Work:
    """Read what judges of a run read: its answers and their windows, no truth."""
    run = read_run(path)
    texts = {
        reply.query.id: reply.answer.text
        for reply in read_replies(run, task, suite)
        if isinstance(reply.answer, Description)
    }
    for (judge, qid), row in run.judgements.items():
        if texts.get(qid) != row["text"]:
            raise IntegrityError(f"{path}: {judge} judged another text for query {qid}")
    split = run.header.task.split
    rows = [row for row, query in enumerate(suite.queries(split)) if query.id in texts]
    windows = arrays(suite, split, "windows")["ids"][rows]
    return Work(qids=list(texts), texts=list(texts.values()), windows=windows)


def _judge(
    writers: Sequence[RunWriter],
    judge: DescriptionJudge,
    work: Work,
    there: Set[Key],
    progress: Progress,
) -> int:
    """Write what a judge finds for queries that are not there; return how many these are."""
    total, appended = len(work.qids), 0
    parts = [slice(start, start + BATCH) for start in range(0, total, BATCH)]
    parts = [here for here in parts if any((judge.id, q) not in there for q in work.qids[here])]
    progress(f"asking {judge.id}", 0, total)
    dealt = team().deal(parts, lambda here: judge.find(work.texts[here], work.windows[here]))
    for here, found in dealt:
        rows: list[dict[str, Any]] = [
            {"qid": qid, "judge": judge.id, "text": text, **one}
            for qid, text, one in zip(work.qids[here], work.texts[here], found, strict=True)
            if (judge.id, qid) not in there
        ]
        for writer in writers:
            writer.judge(rows)
        appended += len(rows)
        progress(f"asking {judge.id}", min(here.stop, total), total)
    return appended


def judge_again(
    path: Path,
    task: Task,
    suite: Suite,
    *,
    qids: Sequence[str],
    device: str = "cpu",
    progress: Progress = silent,
) -> dict[str, bool]:
    """By query, whether the suite's own judge finds again what a run says; see `rejudge`."""
    opened = known.open_judges(suite, names=known.NAMES[:1], device=device, progress=progress)
    found = rejudge(path, task=task, suite=suite, judges=opened, qids=qids, progress=progress)
    return {qid: same for (_, qid), same in found.items()}


def rejudge(
    path: Path,
    *,
    task: Task,
    suite: Suite,
    judges: Sequence[DescriptionJudge],
    qids: Sequence[str],
    progress: Progress = silent,
) -> dict[tuple[str, str], bool]:
    """By id of judge and query, whether judges find again what a run says; it is not changed.

    Opens the suite's truth. Queries without an answer are left out.
    """
    run, work = read_run(path), find_work(path, task, suite)
    chosen = [place for place, qid in enumerate(work.qids) if qid in set(qids)]
    truths = Truths(suite, run.header.task.split)
    found = {}
    for judge in judges:
        for start in range(0, len(chosen), BATCH):
            rows = chosen[start : start + BATCH]
            again = judge.find([work.texts[row] for row in rows], work.windows[rows])
            for row, new in zip(rows, again, strict=True):
                qid = work.qids[row]
                where = f"{path}: {judge.id}, query {qid}"
                old = run.judgements.get((judge.id, qid), {})
                found[judge.id, qid] = _same(truths, qid, old, new, where)
            progress(f"asking {judge.id}", start + len(rows), len(chosen))
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
