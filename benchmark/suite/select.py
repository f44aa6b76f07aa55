"""Which queries a run is about, and whether task and suite belong together.

Owns the rules that predicting and scoring must apply alike. Reads nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import files
from ..errors import IntegrityError, UsageError
from ..records import Query
from ..task import Task
from .manifest import MANIFEST
from .suite import Suite


def suite_fields(suite: Suite) -> dict[str, str]:
    """Return what the header of a run says of its suite; a run fits one with the same values."""
    return {
        "id": suite.task,
        "version": suite.version,
        "suite": suite.name,
        "data_sha256": suite.data_sha256,
        "prompt_sha256": suite.prompt_sha256,
    }


def check_task(task: Task, suite: Suite) -> None:
    """Refuse a task that is not the one the suite was made for.

    Raises:
        IntegrityError: name, version or prompt wording differ; the message names which.
    """
    theirs = suite_fields(suite)
    ours = {"id": task.name, "version": task.version, "prompt_sha256": task.prompt_sha256}
    for field, value in ours.items():
        if theirs[field] != value:
            raise IntegrityError(
                f"{suite.root / MANIFEST}: {'task' if field == 'id' else field} is "
                f"{theirs[field]!r}, the task in this package has {value!r}"
            )


def check_about(header: Mapping[str, Any], suite: Suite, path: Path) -> None:
    """Refuse a run that is not about this suite.

    Args:
        header: the run's header.
        suite: the suite.
        path: the run file, for the message.

    Raises:
        IntegrityError: task, version, name, data or prompt wording differ; the message names which.
    """
    for field, value in suite_fields(suite).items():
        if header["task"][field] != value:
            raise IntegrityError(
                f"{path}: task.{field} is {header['task'][field]!r}, the suite here has "
                f"{value!r}; score it with the suite it was made with"
            )


def select_queries(
    queries: Sequence[Query], *, limit: int | None, ids: Sequence[str] | None
) -> tuple[Query, ...]:
    """Return the queries a run is about: all, the first `limit`, or those with the given ids.

    The order is that of `queries` in every case: one choice is one set in one order.

    Raises:
        UsageError: both are given, the limit is below 1, or an id repeats or does not exist.
    """
    if limit is not None and ids is not None:
        raise UsageError("a limit and a list of query ids cannot be combined; give one")
    if limit is not None:
        if limit < 1:
            raise UsageError(f"the limit is {limit}; give 1 or more")
        return tuple(queries[:limit])
    if ids is None:
        return tuple(queries)
    if not ids or len(set(ids)) != len(ids):
        raise UsageError("the list of query ids is empty or repeats an id")
    if unknown := sorted(set(ids) - {query.id for query in queries}):
        raise UsageError(f"no query {unknown[0]!r} in this split")
    wanted = set(ids)
    return tuple(query for query in queries if query.id in wanted)


def ids_sha256(queries: Sequence[Query]) -> str:
    """Return a hash of the queries' ids that does not depend on their order."""
    return files.sha256_bytes(files.canonical_json(sorted(query.id for query in queries)).encode())
