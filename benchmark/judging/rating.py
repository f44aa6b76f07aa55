"""Language models rate the descriptions of a run against the references; ratings rank nobody."""

from __future__ import annotations

from pathlib import Path

from ..cache import Progress, silent
from ..errors import UsageError
from ..records import Description
from ..runs.run import read_replies, read_run
from ..runs.writer import open_judging
from ..suite.suite import Suite
from ..task import Task
from .rubric import Comparison, Judge, judge_answers, judge_id


def rate_run(
    path: Path,
    *,
    task: Task,
    suite: Suite,
    judge: Judge,
    cache: Path,
    progress: Progress = silent,
) -> int:
    """Append the ratings that a complete run lacks and return how many; `cache` keeps replies."""
    if not suite.describes:
        raise UsageError(f"{path}: answers to {task.name} are not rated; score it as it is")
    with open_judging(path) as writer:
        run = read_run(path)
        truth = suite.feature_truth(run.header.task.split)
        name = judge_id(judge)
        compared = [
            Comparison(
                qid=reply.query.id,
                answer=reply.answer.text,
                references=truth[reply.query.id].descriptions,
            )
            for reply in read_replies(run, task, suite)
            if isinstance(reply.answer, Description)
            and (name, reply.query.id) not in run.judgements
        ]
        rows = judge_answers(judge, compared, cache=cache, progress=progress)
        writer.judge(rows)
    return len(rows)
