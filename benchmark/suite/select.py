"""The suite and queries a run is about: shipped suites by name, others in folders TASK/VERSION.

Such a folder is on this machine, or in a dataset repository on a hub: that is fetched once.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .. import files
from ..cache import cache_dir, locked
from ..errors import IntegrityError, UsageError
from ..models.hub import COMMIT, HUB_ID, download
from ..records import Answer, Choice, Description, Query
from ..registry import get_task, provided_tasks, suites
from ..registry import tasks as every
from ..task import Task
from .manifest import MANIFEST
from .suite import Suite, open_suite

if TYPE_CHECKING:
    from ..runs.header import Asked

# What is fetched of a hub: the frozen files; Parquet is for other readers
_FILES = (f"*/{MANIFEST}", "*.jsonl", "*.safetensors")


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Queries in the suite's order, and in the same order what belongs to them."""

    queries: tuple[Query, ...]
    vectors: npt.NDArray[np.float16] | None  # (n_queries, d_target); None for a task without
    answers: tuple[Answer | Choice | Description, ...]  # What the ground truth says


def data_split(task: str, split: str = "train", *, suite: Path | str = "smollm2-135m") -> Split:
    """Read a split of a task: `train`, `validation`, `test`, or `mini`.

    `suite` is a suite's name or a folder of one. Whoever trains on test queries has no result.
    """
    found = find_suite(str(suite), task)
    queries, answers = found.queries(split), found.answers(split)
    rows = [query.vector for query in queries if query.vector is not None]
    return Split(
        queries=queries,
        vectors=found.vectors(split)[rows] if len(rows) == len(queries) else None,
        answers=tuple(answers[query.id] for query in queries),
    )


def shipped_tasks(name: str) -> list[Task]:
    """Return the tasks of a shipped suite, in their own order."""
    if name not in suites():
        raise UsageError(
            f"unknown suite {name!r}: choose from {', '.join(suites())}, or give another one with "
            "--suite: its folder, or owner/name@commit on a hub"
        )
    pinned = provided_tasks().pins()
    return [task for task in every() if f"{name}/{task.name}/{task.version}" in pinned]


def shipped_suite(name: str, task: str) -> Suite:
    """Open a suite that ships with the package, whatever is in the current folder."""
    found, known = get_task(task), shipped_tasks(name)
    if found not in known:
        raise UsageError(
            f"the suite {name} has no task {task} {found.version}; choose from "
            f"{', '.join(one.name for one in known)}, or give another suite with --suite"
        )
    shipped = provided_tasks()
    pin = shipped.pins()[f"{name}/{found.name}/{found.version}"]
    return open_suite(shipped.suite_root(name, task), sha256=pin)


def find_suite(name: str, task: str) -> Suite:
    """Open the suite that a user named: a shipped one, or a folder, or `owner/name@commit`.

    A folder with the name of a shipped suite must be written as a path, such as `./smollm2-135m`.
    """
    version = get_task(task).version
    if (folder := _folder(name)) is None:
        return shipped_suite(name, task)
    root = folder / task / version
    if not (root / MANIFEST).is_file():
        raise UsageError(f"{name} holds no {task}/{version}/{MANIFEST}; give a suite's folder")
    return open_suite(root)


def tasks_of(name: str, tasks: Sequence[str] = ()) -> list[tuple[Task, Suite]]:
    """Return tasks with their suites, in their own order: those named, or all of the suite."""
    if tasks:
        wanted = {get_task(task).name for task in tasks}
        present = [task for task in every() if task.name in wanted]
    elif (folder := _folder(name)) is not None:
        present = [t for t in every() if (folder / t.name / t.version / MANIFEST).is_file()]
        if not present:
            raise UsageError(f"{name} holds no suite: expected TASK/VERSION/{MANIFEST} in it")
    else:
        present = shipped_tasks(name)
    return [(task, find_suite(name, task.name)) for task in present]


def _folder(name: str) -> Path | None:
    """Return the folder of suites that a name means; None if it is that of a shipped suite."""
    if name in suites():
        return None
    return Path(name) if Path(name).is_dir() else _remote_suites(name)


def _remote_suites(name: str) -> Path | None:
    """Return the folder of suites that `owner/name@commit` names; None if a name is no such thing.

    It is in the cache once all its files have the hashes of its manifests; then no hub is asked.
    """
    match = HUB_ID.fullmatch(name)
    if match is None or match["revision"] is None:
        return None
    hub_id, commit = match["id"], match["revision"]
    if not COMMIT.fullmatch(commit):
        raise UsageError(
            f"suite {name!r} is not pinned: give the commit, as in {hub_id}@<40 hex digits>"
        )
    folder = cache_dir() / "suites" / hub_id.replace("/", "--") / commit
    if not folder.is_dir():
        with locked(folder):
            if not folder.is_dir():  # the process that held the lock may have fetched it
                _fetch(name, hub_id, commit, folder)
    return folder


def _fetch(name: str, hub_id: str, commit: str, folder: Path) -> None:
    """Download beside the place, where a cut download goes on, check, and move it there."""
    partial = folder.with_name(f".{commit}.partial")
    instead = "without one use a suite in a folder, or one that ships"
    download(
        hub_id, commit, instead=instead, kind="dataset", patterns=_FILES, folder=partial.absolute()
    )
    try:
        manifests = sorted(partial.glob(f"*/*/{MANIFEST}"))
        if not manifests:
            raise UsageError(f"{name} holds no suite: expected TASK/VERSION/{MANIFEST} in it")
        for suite in map(open_suite, (path.parent for path in manifests)):
            for file in suite.manifest["files"]:
                suite.read(file)
        partial.rename(folder)
    except (IntegrityError, UsageError):
        shutil.rmtree(partial, ignore_errors=True)
        raise
    except OSError as error:
        raise files.write_error(folder, error) from error


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
    """Refuse a task that is not the one the suite was made for."""
    ours = {"task": task.name, "version": task.version, "prompt_sha256": task.prompt_sha256}
    for field, value in ours.items():
        if (theirs := getattr(suite, field)) != value:
            raise IntegrityError(
                f"{suite.root / MANIFEST}: {field} is {theirs!r}, the task in this package has "
                f"{value!r}"
            )


def check_about(asked: Asked, suite: Suite, path: Path) -> None:
    """Refuse a run, at `path`, that is not about this suite."""
    for field, value in suite_fields(suite).items():
        if (said := getattr(asked, field)) != value:
            raise IntegrityError(
                f"{path}: task.{field} is {said!r}, the suite here has "
                f"{value!r}; score it with the suite it was made with"
            )


def select_queries(
    queries: Sequence[Query], *, limit: int | None, ids: Sequence[str] | None
) -> tuple[Query, ...]:
    """Return the queries a run is about, in order: all, the first `limit`, or those of `ids`."""
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
