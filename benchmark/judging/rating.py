"""Language models rate the descriptions of a run against the references, a step of its own.

Opens the truth of the run's split, unlike a simulator. Ratings are appended to the run file and
shown beside the metrics; they rank nobody.
"""

from __future__ import annotations

from pathlib import Path

from ..cache import OnProgress, silent
from ..errors import UsageError
from ..records import Description
from ..runs.replies import read_replies
from ..runs.run import read_run
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
    on_progress: OnProgress = silent,
) -> int:
    """Append the ratings that a complete run lacks.

    Args:
        path: the run file.
        task: the task it is about.
        suite: the suite it is about.
        judge: who rates.
        cache: folder of replies; a killed call goes on from there.
        on_progress: told how many questions are left.

    Returns:
        How many ratings were appended.

    Raises:
        CheckFailedError: too many replies are malformed; nothing is appended.
        UsageError: the run is incomplete, its answers are no descriptions, or the judge refuses.
        MissingPartError: the judge cannot be reached, or a file not be written.
        IntegrityError: a file is corrupt, or the run is about another suite.
    """
    if not suite.describes:
        raise UsageError(f"{path}: answers to {task.name} are not rated; score it as it is")
    with open_judging(path) as writer:
        run = read_run(path)
        truth = suite.feature_truth(run.header["task"]["split"])
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
        rows = judge_answers(judge, compared, cache=cache, on_progress=on_progress)
        writer.judge(rows)
    return len(rows)
