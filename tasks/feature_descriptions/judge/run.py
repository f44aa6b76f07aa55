"""Judging a run: judges append what they find to the run file.

Owns the loop over answers, which continues where a killed one was. Queries and windows of the suite
are opened, its truth never. Which judges there are is `judges.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ....benchmark.cache import OnAnswers, OnProgress, silent
from ....benchmark.errors import IntegrityError, UsageError
from ....benchmark.records import Description
from ....benchmark.runs.run import read_replies, read_run
from ....benchmark.runs.writer import RunWriter, open_judging
from ....benchmark.suite.features import arrays
from ....benchmark.suite.suite import Suite
from ....benchmark.task import Task
from . import judges as known
from .judges import Judge

BATCH = 28
"""Answers judged together and then written; fixed, so that a continued run is the same."""
Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one run's judges read."""

    qids: Sequence[str]
    """Queries with an answer."""
    texts: Sequence[str]
    """Their descriptions."""
    windows: Ids
    """Their windows, int32 (n, 16, 32)."""


def judge(
    path: Path,
    task: Task,
    suite: Suite,
    *,
    names: Sequence[str] = (),
    device: str = "cpu",
    on_fetch: OnProgress = silent,
    on_answers: OnAnswers | None = None,
) -> int:
    """Append to a run what judges find in its descriptions; return how many judgements.

    Args:
        path: a complete run file.
        task: the task it is about.
        suite: the suite it is about; its truth is not opened.
        names: which judges; the suite's own if empty.
        device: a torch device.
        on_fetch: told what is downloaded and prepared.
        on_answers: told how far each judge is.

    Raises:
        UsageError: unknown judge, an incomplete run, or answers that need no judge.
        MissingPartError: weights, network, device or disk space are missing.
        IntegrityError: a file is corrupt, or a judge is not the suite's own.
    """
    judges = known.open_judges(
        suite, names=names or known.NAMES[:1], device=device, on_progress=on_fetch
    )
    return judge_run(path, task=task, suite=suite, judges=judges, on_answers=on_answers)


def judge_run(
    path: Path,
    *,
    task: Task,
    suite: Suite,
    judges: Sequence[Judge],
    on_answers: OnAnswers | None = None,
) -> int:
    """Append the judgements that a complete run lacks.

    Args:
        path: the run file.
        task: the task it is about.
        suite: the suite it is about.
        judges: who judges, in this order.
        on_answers: told how far each judge is.

    Returns:
        How many judgements were appended.

    Raises:
        UsageError: the run is incomplete, answers to the task need no judges, or another process
            has the file.
        IntegrityError: the run is corrupt or about another suite, or was judged on other texts.
        MissingPartError: the file can't be written.
    """
    if not suite.describes:
        raise UsageError(f"{path}: answers to {task.name} need no judge; score it as it is")
    with open_judging(path) as writer:
        work = find_work(path, task, suite)
        return sum(_judge(writer, judge, work, on_answers) for judge in judges)


def find_work(path: Path, task: Task, suite: Suite) -> Work:
    """Read what judges of a run read: its answers and their windows, no truth.

    Raises:
        IntegrityError: the run is corrupt or about another suite, or was judged on other texts.
    """
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


def _judge(writer: RunWriter, judge: Judge, work: Work, on_answers: OnAnswers | None) -> int:
    total, appended = len(work.qids), 0
    for start in range(0, total, BATCH):
        here = slice(start, start + BATCH)
        qids, texts = work.qids[here], work.texts[here]
        lacking = [qid for qid in qids if (judge.id, qid) not in writer.judgements]
        if not lacking:
            continue
        if on_answers:
            on_answers(judge.id, start, total)
        rows: list[dict[str, Any]] = [
            {"qid": qid, "judge": judge.id, "text": text, **found}
            for qid, text, found in zip(
                qids, texts, judge.find(texts, work.windows[here]), strict=True
            )
        ]
        writer.judge([row for row in rows if row["qid"] in lacking])
        appended += len(lacking)
    if on_answers:
        on_answers(judge.id, total, total)
    return appended
