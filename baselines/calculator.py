"""The ceiling of the causal tasks: carries out each query's intervention and reads the outcome.

It has the target's weights and the query, and opens neither truth nor oracle. What it does not
reproduce is what a label owes to the machine, or the batch, that it was measured on. With it labels
are measured again and counted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..benchmark.cache import Progress, silent
from ..benchmark.evaluation.run import run
from ..benchmark.evaluation.spec import RunSpec
from ..benchmark.explainer import ExplainerCard
from ..benchmark.prompts import AUTO_BATCH_SIZE
from ..benchmark.records import Prompt
from ..benchmark.registry import suites
from ..benchmark.scoring.grade import CALCULATOR
from ..benchmark.scoring.score import score
from ..benchmark.suite.select import shipped_suite, shipped_tasks
from ..benchmark.suite.suite import Suite
from ..benchmark.task import Task
from ..tasks.calculate import calculate
from .prompted import target_name

if TYPE_CHECKING:
    from ..benchmark.backends.interventions import calculator

NO_PART = "no part changes the output"
"""What it says where no part is active: no answer, and so never right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calculator:
    """Measures the target again."""

    task: Task
    """Writes answers."""
    target: calculator.Calculator
    """The target."""

    def complete(self, prompts: Sequence[Prompt]) -> list[str]:
        """Say what the target answers with the intervention, or which part counts."""
        queries, vectors = [one.query for one in prompts], [one.vector for one in prompts]
        answers = calculate(self.target, queries, vectors)
        return [NO_PART if one is None else self.task.format_answer(one) for one in answers]


def load_calculator(
    task: Task,
    suite: Suite,
    *,
    device: str,
    dtype: str = "auto",
    batch_size: int | None = None,
) -> tuple[Calculator, ExplainerCard]:
    """Load the suite's target; its weights are float32 unless another dtype is named."""
    from ..benchmark.backends.interventions.calculator import load_calculator as load
    from ..benchmark.backends.models.devices import find_dtype

    name = "float32" if dtype == "auto" else dtype
    size = AUTO_BATCH_SIZE if batch_size is None else batch_size
    target, hashes = load(
        target_name(suite), device=device, dtype=find_dtype(name, device), batch_size=size
    )
    card = ExplainerCard(
        name="baseline/calculator",
        kind="baseline",
        weights_sha256=hashes,
        settings={"dtype": name, "batch_size": size},
    )
    return Calculator(task=task, target=target), card


def reproduce(
    suite: str,
    *,
    split: str = "mini",
    device: str = "cpu",
    batch_size: int | None = None,
    limit: int | None = None,
    progress: Progress = silent,
) -> list[dict[str, Any]]:
    """Count labels that come out again: by task `labels_reproduced` with `n` and `of`."""
    with tempfile.TemporaryDirectory() as folder:
        where = {"suite": suite, "split": split, "output": Path(folder), "limit": limit}
        asked: dict[str, Any] = {"device": device, "batch_size": batch_size, **where}
        request = RunSpec(model=CALCULATOR, **asked)
        runs = run(request, progress=progress)
        results = [score(one.path, suite=suite) for one in runs]
    kept = ("task", "split", "labels_reproduced")
    return [{name: result[name] for name in kept} for result in results]


def suite_about(target: str) -> str | None:
    """The shipped suite that is about a target, if there is one."""
    for name in suites():
        for task in shipped_tasks(name):
            if shipped_suite(name, task.name).manifest["target"].get("name") == target:
                return name
    return None
