"""The list of tasks and of frozen suites. Adding a task is one import and one entry here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..benchmark.errors import IntegrityError
from ..benchmark.registry import get_task
from ..benchmark.task import Task
from .activation_patching.task import make_task as make_patching
from .feature_descriptions.task import make_task as make_descriptions
from .input_ablations.task import make_task as make_ablations

if TYPE_CHECKING:
    from ..benchmark.suite.suite import Suite

TASKS: tuple[Task, ...] = (make_descriptions(), make_patching(), make_ablations())  # every task

SUITES = ("smollm2-135m",)  # every frozen suite that ships with the package
FOLDER = Path(__file__).parent / "suites"  # where they lie
SUMS = FOLDER / "SHA256SUMS"
"""A line a manifest, which ties every byte of the suites to this package."""
_SUM = re.compile(r"[0-9a-f]{64}  [a-z0-9.-]+/[a-z-]+/v\d+/manifest\.json")


def suite_root(suite: str, task: str) -> Path:
    """Folder of a shipped suite's task, at the task's present version."""
    return FOLDER / suite / task / get_task(task).version


def pins() -> dict[str, str]:
    """Sha256 of every frozen manifest by `SUITE/TASK/VERSION`, from `suites/SHA256SUMS`.

    The file has the form that `sha256sum` writes and checks.

    Raises IntegrityError: a line is not of that form.
    """
    found = {}
    for line in SUMS.read_text("utf-8").splitlines():
        sha256, _, name = line.partition("  ")
        if not _SUM.fullmatch(line):
            raise IntegrityError(f"{SUMS}: {line!r} is not a sha256, two spaces and a path")
        found[name.rpartition("/")[0]] = sha256
    return found


def judge(path: Path, task: Task, suite: Suite, **options: Any) -> int:
    """Append to a run of descriptions what judges find; see `feature_descriptions.judge.run`."""
    from .feature_descriptions.judge.run import judge as judge_descriptions

    return judge_descriptions(path, task, suite, **options)


def judge_again(path: Path, task: Task, suite: Suite, **options: Any) -> Mapping[str, bool]:
    """By query, whether its judges find again what a run of descriptions says."""
    from .feature_descriptions.judge.run import judge_again as again

    return again(path, task, suite, **options)


def paper_task(task: Task, *, chat: bool, zero_shot: bool = False) -> Task:
    """A task that asks in the words of arXiv:2511.08579, see `paper.paper_prompts`."""
    from .paper.paper_prompts import paper_task as asked

    return asked(task, chat=chat, zero_shot=zero_shot)


def shipped_texts(target: str) -> list[str]:
    """Texts that a target wrote itself and that ship with the package."""
    from .feature_descriptions.shipped_text import shipped_texts as texts

    return texts(target)
