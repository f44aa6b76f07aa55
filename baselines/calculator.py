"""The ceiling of the causal tasks: carries out each query's intervention and reads the outcome.

It has the target's weights and the query, and opens neither truth nor oracle. What it does not
reproduce is what a label owes to the machine, or the batch, that it was measured on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from introspect_bench.baselines.untrained import target_name
from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.explainer import ExplainerCard
from introspect_bench.benchmark.prompting import AUTO_BATCH_SIZE
from introspect_bench.benchmark.records import Answer, Prompt, Query
from introspect_bench.benchmark.suite import Suite
from introspect_bench.benchmark.task import Task

if TYPE_CHECKING:
    from introspect_bench.benchmark.backends import calculator


@dataclass(frozen=True, slots=True, kw_only=True)
class Calculator:
    """Measures the target again."""

    task: Task
    """Writes answers."""
    target: calculator.Calculator
    """The target."""

    def complete(self, prompts: Sequence[Prompt]) -> list[str]:
        """Say what the target answers without the intervention and with it.

        Raises:
            UsageError: a vector is left out.
        """
        pairs = self._patched(prompts) if self.task.uses_vector else self._removed(prompts)
        return [
            self.task.format_answer(Answer(changed=clean != outcome, content=outcome))
            for clean, outcome in pairs
        ]

    def _patched(self, prompts: Sequence[Prompt]) -> list[tuple[str, str]]:
        from introspect_bench.benchmark.backends.calculator import Patch, Text

        patches = []
        for prompt in prompts:
            if prompt.vector is None:
                raise UsageError("baseline/calculator reads vectors; it cannot do without them")
            fields = prompt.query.fields
            first, last = fields["layers"]
            patches.append(
                Patch(
                    text=fields["text"],
                    position=fields["position"],
                    layers=(first, last),
                    vector=prompt.vector,
                )
            )
        clean = self.target.answers([Text(text=patch.text) for patch in patches])
        return [
            (clean[Text(text=patch.text)], outcome)
            for patch, outcome in zip(patches, self.target.patched(patches), strict=True)
        ]

    def _removed(self, prompts: Sequence[Prompt]) -> list[tuple[str, str]]:
        asked = [
            (_text(prompt.query, None), _text(prompt.query, prompt.query.fields["span"]))
            for prompt in prompts
        ]
        said = self.target.answers([text for pair in asked for text in pair])
        return [(said[whole], said[rest]) for whole, rest in asked]


def _text(query: Query, span: Sequence[int] | None) -> calculator.Text:
    """What the target reads, without a span of characters if one is given."""
    from introspect_bench.benchmark.backends.calculator import Text

    fields = query.fields
    start, end = span or (0, 0)
    return Text(
        text=fields["text"][:start] + fields["text"][end:],
        prefix=fields["answer_prefix"] if fields["chat"] else None,
        letter=fields["answer_form"] == "letter",
    )


def load_calculator(
    task: Task, suite: Suite, *, device: str, dtype: str, batch_size: int | None
) -> tuple[Calculator, ExplainerCard]:
    """Load the suite's target; its weights are float32 unless another dtype is named.

    Raises:
        UsageError: the suite does not say where its target is, or unknown dtype or device.
        MissingPartError: weights, tokenizer or device are missing.
        IntegrityError: the weights are corrupt.
    """
    from introspect_bench.benchmark.backends.calculator import load_calculator as load
    from introspect_bench.benchmark.backends.loading import find_dtype

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
