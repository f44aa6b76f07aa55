"""Finding suites: shipped ones by name, others in folders TASK/VERSION that the user names."""

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
    """Return the tasks of a shipped suite, in their own order."""
    if name not in suites():
        raise UsageError(
            f"unknown suite {name!r}: choose from {', '.join(suites())}, or give the folder of "
            "another one with --suite"
        )
    pinned = pins()
    return [task for task in every() if f"{name}/{task.name}/{task.version}" in pinned]


def shipped_suite(name: str, task: str) -> Suite:
    """Open a suite that ships with the package, whatever is in the current folder."""
    found, known = get_task(task), shipped_tasks(name)
    if found not in known:
        raise UsageError(
            f"the suite {name} has no task {task} {found.version}; choose from "
            f"{', '.join(one.name for one in known)}, or give another suite with --suite"
        )
    return open_suite(suite_root(name, task), sha256=pins()[f"{name}/{found.name}/{found.version}"])


def find_suite(name: str, task: str) -> Suite:
    """Open the suite that a user named: a shipped one, or else a folder of suites.

    A folder with the name of a shipped suite must be written as a path, such as `./smollm2-135m`.
    """
    version = get_task(task).version
    if not _is_folder(name):
        return shipped_suite(name, task)
    root = Path(name) / task / version
    if not (root / MANIFEST).is_file():
        raise UsageError(f"{name} holds no {task}/{version}/{MANIFEST}; give a suite's folder")
    return open_suite(root)


def tasks_of(name: str, tasks: Sequence[str] = ()) -> list[tuple[Task, Suite]]:
    """Return tasks with their suites, in their own order: those named, or all of the suite."""
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
