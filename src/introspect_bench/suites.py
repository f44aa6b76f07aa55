"""Finding a frozen suite by name or folder.

Owns the layout of a folder of suites: `TASK/VERSION/manifest.json`. What is in a suite is
`benchmark.suite`'s, where the package's own suites are is `tasks`'.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.manifest import MANIFEST
from introspect_bench.benchmark.suite import Suite, open_suite
from introspect_bench.benchmark.task import Task
from introspect_bench.tasks import SUITES, TASKS, get_task, suite_root


def find_suite(name: str, task: str) -> Suite:
    """Open the suite of a task, by the suite's name or in a folder of suites.

    Raises:
        UsageError: unknown suite or task, or the folder has none for this task.
        IntegrityError: its manifest is broken.
    """
    version = get_task(task).version
    if Path(name).is_dir():
        root = Path(name) / task / version
        if not (root / MANIFEST).is_file():
            raise UsageError(f"{name} holds no {task}/{version}/{MANIFEST}; give a suite's folder")
        return open_suite(root)
    if name not in SUITES:
        raise UsageError(
            f"unknown suite {name!r}: choose from {', '.join(SUITES)}, or give a suite's folder"
        )
    return open_suite(suite_root(name, task))


def tasks_of(name: str, tasks: Sequence[str] = ()) -> list[tuple[Task, Suite]]:
    """Return tasks with their suites: those named, or all that the suite has, in their own order.

    Raises:
        UsageError: unknown suite or task.
        IntegrityError: a manifest is broken.
    """
    if tasks:
        wanted = {get_task(task).name for task in tasks}
        return [(task, find_suite(name, task.name)) for task in TASKS if task.name in wanted]
    if Path(name).is_dir():
        present = [t for t in TASKS if (Path(name) / t.name / t.version / MANIFEST).is_file()]
        if not present:
            raise UsageError(f"{name} holds no suite: expected TASK/VERSION/{MANIFEST} in it")
        return [(task, find_suite(name, task.name)) for task in present]
    return [(task, find_suite(name, task.name)) for task in TASKS]
