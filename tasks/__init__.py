"""The list of tasks and of frozen suites. Adding a task is one import and one entry here."""

from __future__ import annotations

from pathlib import Path

from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.task import Task
from introspect_bench.tasks.activation_patching.task import make_task as make_patching
from introspect_bench.tasks.feature_descriptions.task import make_task as make_descriptions
from introspect_bench.tasks.input_ablations.task import make_task as make_ablations

TASKS: tuple[Task, ...] = (make_descriptions(), make_patching(), make_ablations())
"""Every task."""

SUITES = ("smollm2-135m",)
"""Every frozen suite that ships with the package."""


def get_task(name: str) -> Task:
    """Task by name.

    Raises:
        UsageError: no such task; the message lists those there are.
    """
    for task in TASKS:
        if task.name == name:
            return task
    raise UsageError(f"unknown task {name!r}: choose from {', '.join(t.name for t in TASKS)}")


def suite_root(suite: str, task: str) -> Path:
    """Folder of a shipped suite's task, at the task's present version."""
    return Path(__file__).parent / "suites" / suite / task / get_task(task).version
