"""Fixtures shared by all tests: toy tasks and suites, scripted explainers, and their runs.

Also loaded by path, as a plain module, by the tests that start a second process.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch is imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from toy import Scripted, batch_replies, freeze_toy, make_toy_suite, make_toy_task

from introspect_bench.benchmark.evaluation.predict import predict
from introspect_bench.benchmark.explainer import ExplainerCard
from introspect_bench.benchmark.prompts import PromptSpec
from introspect_bench.benchmark.runs.run import Run, read_run
from introspect_bench.benchmark.suite.suite import Suite, open_suite
from introspect_bench.benchmark.task import Task


@pytest.fixture
def toy_task() -> Task:
    """A task with vectors."""
    return make_toy_task(uses_vector=True)


@pytest.fixture
def toy_text_task() -> Task:
    """A task without vectors, with two headline kinds and the test-only kind `word`."""
    return make_toy_task(uses_vector=False)


@pytest.fixture(scope="session")
def _frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("toy")
    for uses_vector in (True, False):
        make_toy_suite(root / str(uses_vector), make_toy_task(uses_vector=uses_vector))
    return root


@pytest.fixture
def toy_suite(_frozen: Path, tmp_path: Path) -> Suite:
    """A suite of `toy_task`, in a folder of its own: tests may damage it."""
    return open_suite(Path(shutil.copytree(_frozen / "True", tmp_path / "suite")))


@pytest.fixture
def toy_text_suite(_frozen: Path, tmp_path: Path) -> Suite:
    """A suite of `toy_text_task`, in a folder of its own: tests may damage it."""
    return open_suite(Path(shutil.copytree(_frozen / "False", tmp_path / "text-suite")))


@pytest.fixture
def freeze() -> Callable[..., Suite]:
    """`freeze(root, field=value)`: hash a damaged suite again, so that only its logic is wrong."""
    return freeze_toy


@pytest.fixture
def scripted() -> type[Scripted]:
    """`scripted({id: reply})` or `scripted(function)`: an explainer."""
    return Scripted


@pytest.fixture
def batch_dependent() -> Scripted:
    """An explainer whose replies depend on the whole batch."""
    return Scripted(batch_replies)


@pytest.fixture
def card() -> ExplainerCard:
    """The card of a scripted explainer."""
    return ExplainerCard(name="toy/scripted", kind="custom", settings={"temperature": 0.0})


@pytest.fixture
def perfect() -> Callable[[Task, Suite, str], dict[str, str]]:
    """`perfect(task, suite, split)`: the reply that scores 1, by query id."""

    def replies(task: Task, suite: Suite, split: str) -> dict[str, str]:
        truth = suite.truth(split)
        return {key: task.format_answer(value.answer) for key, value in truth.items()}

    return replies


@pytest.fixture
def ask(
    toy_task: Task, toy_suite: Suite, card: ExplainerCard, tmp_path: Path
) -> Callable[..., Path]:
    """`predict` on the toy suite's test split, with anything changed."""

    def call(explainer: Any, **changes: Any) -> Path:
        arguments: dict[str, Any] = {
            "task": toy_task,
            "suite": toy_suite,
            "split": "test",
            "card": card,
            "out": tmp_path / "run.jsonl",
            "batch_size": 3,
        }
        arguments |= changes
        rest = ("card", "out", "resume", "device", "progress")
        more = {name: arguments.pop(name) for name in rest if name in arguments}
        return predict(PromptSpec(**arguments), explainer, **more)

    return call


@pytest.fixture
def run_of(card: ExplainerCard, scripted: Callable[..., Any], tmp_path: Path) -> Callable[..., Run]:
    """The run of an explainer that gives these replies."""

    def make(task: Task, suite: Suite, replies: dict[str, str], **changes: Any) -> Run:
        own = changes.pop("card", card)
        arguments: dict[str, Any] = {"split": "test", "batch_size": 5} | changes
        path = tmp_path / f"{time.monotonic_ns()}.jsonl"
        spec = PromptSpec(task=task, suite=suite, **arguments)
        return read_run(predict(spec, scripted(replies), own, path))

    return make
