"""The ceiling of the causal tasks: carries out each query's intervention and reads the outcome.

It has the target's weights and the query, and opens neither truth nor oracle. What it does not
reproduce is what a label owes to the machine, or the batch, that it was measured on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..benchmark.explainer import ExplainerCard
from ..benchmark.prompts import AUTO_BATCH_SIZE
from ..benchmark.records import Prompt
from ..benchmark.suite.suite import Suite
from ..benchmark.task import Task
from ..tasks.calculate import calculate
from .prompted import target_name

if TYPE_CHECKING:
    from ..benchmark.backends.interventions import calculator


NO_PART = "no part changes the output"
"""What it says of parts none of which is active here: no answer, and so never right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calculator:
    """Measures the target again."""

    task: Task
    """Writes answers."""
    target: calculator.Calculator
    """The target."""

    def complete(self, prompts: Sequence[Prompt]) -> list[str]:
        """Say what the target answers with the intervention, or which part counts.

        Raises:
            UsageError: a vector is left out.
        """
        found = calculate(
            self.target, [one.query for one in prompts], [one.vector for one in prompts]
        )
        return [NO_PART if one is None else self.task.format_answer(one) for one in found]


def load_calculator(
    task: Task, suite: Suite, *, device: str, dtype: str, batch_size: int | None
) -> tuple[Calculator, ExplainerCard]:
    """Load the suite's target; its weights are float32 unless another dtype is named.

    Raises:
        UsageError: the suite does not say where its target is, or unknown dtype or device.
        MissingPartError: weights, tokenizer or device are missing.
        IntegrityError: the weights are corrupt.
    """
    from ..benchmark.backends.explainer.load import find_dtype
    from ..benchmark.backends.interventions.calculator import load_calculator as load

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
