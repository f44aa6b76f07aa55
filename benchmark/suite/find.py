"""Finding a frozen suite: shipped ones by name, any other by the folder the user gives.

Owns the layout of a folder of suites: `TASK/VERSION/manifest.json`, and the rule that only a user
names a folder. What is in a suite is `benchmark.suite`'s, where the package's own suites are is
`tasks`'.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import UsageError
from ..registry import get_task, pins, suite_root, suites
from ..registry import tasks as every
from ..task import Task
from .manifest import MANIFEST
from .suite import Suite, open_suite


def shipped_tasks(name: str) -> list[Task]:
    """Return the tasks of a shipped suite, in their own order.

    Raises:
        UsageError: no suite of that name ships with the package.
    """
    if name not in suites():
        raise UsageError(
            f"unknown suite {name!r}: choose from {', '.join(suites())}, or give the folder of "
            "another one with --suite"
        )
    pinned = pins()
    return [task for task in every() if f"{name}/{task.name}/{task.version}" in pinned]


def shipped_suite(name: str, task: str) -> Suite:
    """Open a suite that ships with the package, whatever is in the current folder.

    Raises:
        UsageError: no such suite, or no such task in it.
        IntegrityError: its manifest is not the one this package was released with, or is broken.
    """
    found, known = get_task(task), shipped_tasks(name)
    if found not in known:
        raise UsageError(
            f"the suite {name} has no task {task} {found.version}; choose from "
            f"{', '.join(one.name for one in known)}, or give another suite with --suite"
        )
    return open_suite(suite_root(name, task), sha256=pins()[f"{name}/{found.name}/{found.version}"])


def find_suite(name: str, task: str) -> Suite:
    """Open the suite that a user named: a shipped one, or else a folder of suites.

    A folder that has the name of a shipped suite is meant only when it is written as a path, such
    as `./smollm2-135m`. Names that stand in files are for `shipped_suite`.

    Raises:
        UsageError: unknown suite or task, or the folder has none for this task.
        IntegrityError: its manifest is broken.
    """
    version = get_task(task).version
    if not _is_folder(name):
        return shipped_suite(name, task)
    root = Path(name) / task / version
    if not (root / MANIFEST).is_file():
        raise UsageError(f"{name} holds no {task}/{version}/{MANIFEST}; give a suite's folder")
    return open_suite(root)


def tasks_of(name: str, tasks: Sequence[str] = ()) -> list[tuple[Task, Suite]]:
    """Return tasks with their suites: those named, or all that the suite has, in their own order.

    Args:
        name: what the user gave: a shipped suite's name or a folder.
        tasks: names of tasks.

    Raises:
        UsageError: unknown suite or task.
        IntegrityError: a manifest is broken.
    """
    if tasks:
        wanted = {get_task(task).name for task in tasks}
        present = [task for task in every() if task.name in wanted]
    elif _is_folder(name):
        present = [t for t in every() if (Path(name) / t.name / t.version / MANIFEST).is_file()]
        if not present:
            raise UsageError(f"{name} holds no suite: expected TASK/VERSION/{MANIFEST} in it")
    else:
        present = shipped_tasks(name)
    return [(task, find_suite(name, task.name)) for task in present]


def _is_folder(name: str) -> bool:
    return name not in suites() and Path(name).is_dir()
