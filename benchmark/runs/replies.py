"""What a run says to each query it is about: its header believed nothing, its raw text read again.

Owns the checks that tie a run to its suite. No truth is opened here.
"""

from __future__ import annotations

from ..errors import IntegrityError, UsageError
from ..records import Replied
from ..suite.select import check_about, check_task, ids_sha256, select_queries
from ..suite.suite import Suite
from ..task import Task
from .run import Run


def read_replies(run: Run, task: Task, suite: Suite) -> tuple[Replied, ...]:
    """Put every query the run is about beside its raw reply and the answer read in it.

    Returns:
        One for each query, in the suite's order.

    Raises:
        IntegrityError: the run is about another task, suite, version or wording, or answers unknown
            queries.
    """
    check_task(task, suite)
    about = run.header["task"]
    check_about(run.header, suite, run.path)
    try:
        everything = suite.queries(about["split"])
        queries = select_queries(everything, limit=about["limit"], ids=about["query_ids"])
    except UsageError as error:
        # What would be a slip on the command line is a contradiction in a file.
        raise IntegrityError(f"{run.path}: the header is about no queries here: {error}") from error
    if about["query_ids_sha256"] != ids_sha256(queries) or about["n"] != len(queries):
        raise IntegrityError(
            f"{run.path}: task.query_ids_sha256 and task.n are not those of the queries it names"
        )
    if run.header["partial"] is not (len(queries) < len(everything)):
        raise IntegrityError(f"{run.path}: field partial is {run.header['partial']}, it is not so")
    if unknown := sorted(run.rows.keys() - {query.id for query in queries}):
        raise IntegrityError(f"{run.path}: query id {unknown[0]} is not among the run's queries")
    found = []
    for query in queries:
        raw = run.rows[query.id]["raw"] if query.id in run.rows else None
        answer = None if raw is None else task.parse(raw)
        found.append(Replied(query=query, raw=raw, answer=answer))
    return tuple(found)
