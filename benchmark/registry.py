"""Tasks, suites and baselines by name, from modules that are imported when first asked for.

What other installed packages bring are entry points of the groups `introspect_bench.KIND`.
"""

from __future__ import annotations

import functools
import importlib
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from .errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .explainer import BaselineSpec, Explainer, ExplainerCard
    from .suite.suite import Suite
    from .task import Task

BASELINE = "baseline/"  # How the name of a baseline starts
REFERENCE = "reference/"  # How the name of a trained explainer that ships with the package starts

Kind = Literal["tasks", "explainers", "targets", "judges"]  # Of what other packages bring

_MODULES: dict[str, str] = {}


class Tasks(Protocol):
    """A module that brings tasks and frozen suites of them."""

    __file__: str
    TASKS: tuple[Task, ...]
    SUITES: tuple[str, ...]

    def suite_root(self, suite: str, task: str) -> Path:
        """Folder of a frozen suite's task, at the task's present version."""

    def pins(self) -> dict[str, str]:
        """Sha256 of every frozen manifest by `SUITE/TASK/VERSION`."""

    def judge(self, path: Path, task: Task, suite: Suite, **options: Any) -> int:
        """Append to a run what judges find in its answers."""

    def judge_again(
        self, path: Path, task: Task, suite: Suite, **options: Any
    ) -> Mapping[str, bool]:
        """By query, whether its judges find again what a run says."""

    def paper_task(self, task: Task, *, chat: bool, zero_shot: bool = False) -> Task:
        """A task that asks in the words of arXiv:2511.08579."""

    def shipped_texts(self, target: str) -> list[str]:
        """Texts that a target wrote itself."""


class Baselines(Protocol):
    """A module that brings baselines and trained explainers."""

    BASELINES: tuple[BaselineSpec, ...]

    def check_baseline(self, name: str, task: Task, *, use_vectors: bool) -> BaselineSpec:
        """Return a baseline that can answer a task, or raise UsageError."""

    def make_baseline(
        self, name: str, *, task: Task, suite: Suite, split: str, **options: Any
    ) -> tuple[Explainer, ExplainerCard]:
        """Learn or load a baseline."""

    def reference_names(self) -> tuple[str, ...]:
        """Names of all recipes of trained explainers and of their controls."""

    def reference_folder(self, name: str) -> Path:
        """Folder of a trained explainer's weights, or raise MissingPartError."""


def provide(*, tasks: str, baselines: str) -> None:
    """Name the modules that bring tasks and baselines; nothing is imported yet."""
    _MODULES.update(tasks=tasks, baselines=baselines)
    _module.cache_clear()


@functools.cache
def _module(kind: str) -> Any:
    return importlib.import_module(_MODULES[kind])


def provided_tasks() -> Tasks:
    """The module that brings tasks and suites."""
    return cast(Tasks, _module("tasks"))


def provided_baselines() -> Baselines:
    """The module that brings baselines."""
    return cast(Baselines, _module("baselines"))


@functools.cache
def installed(kind: Kind) -> dict[str, Any]:
    """What packages bring of a kind, by name: a `Task`, a class, a `TargetSpec`, a judge's maker.

    UsageError: one cannot be loaded, or two have the same name.
    """
    found: dict[str, Any] = {}
    for point in entry_points(group=f"introspect_bench.{kind}"):
        package = point.dist.name if point.dist else point.value
        if point.name in found:
            raise UsageError(f"{kind}: {package} and another package both bring '{point.name}'")
        try:
            found[point.name] = point.load()
        except Exception as error:
            raise UsageError(
                f"{package}: its {point.value} cannot be loaded: {type(error).__name__}: {error}; "
                f"mend or remove {package}"
            ) from error
    return found


def tasks() -> tuple[Task, ...]:
    """Every task: ours, then those of other packages."""
    own, more = provided_tasks().TASKS, installed("tasks")
    if taken := sorted({task.name for task in own} & {task.name for task in more.values()}):
        raise UsageError(f"a package brings a task {taken[0]!r}, which there is already; remove it")
    return (*own, *more.values())


def suites() -> tuple[str, ...]:
    """Names of the frozen suites that ship with the package."""
    return provided_tasks().SUITES


def get_task(name: str) -> Task:
    """Task by name."""
    for task in tasks():
        if task.name == name:
            return task
    raise UsageError(f"unknown task {name!r}: choose from {', '.join(t.name for t in tasks())}")


def find_baseline(name: str) -> BaselineSpec:
    """Baseline by name, with or without `baseline/`."""
    known = provided_baselines().BASELINES
    for spec in known:
        if spec.name == name.removeprefix(BASELINE):
            return spec
    raise UsageError(f"unknown baseline '{name}': choose from {', '.join(s.name for s in known)}")
