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
from introspect_bench.benchmark.records import Answer, Choice, Prompt, Query
from introspect_bench.benchmark.suite import Suite
from introspect_bench.benchmark.task import Task

if TYPE_CHECKING:
    from introspect_bench.benchmark.backends import calculator


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
        """Say what the target answers without the intervention and with it, or which part counts.

        Raises:
            UsageError: a vector is left out.
        """
        if self.task.uses_vector:
            return self._patched(prompts)
        texts = [_texts(prompt.query) for prompt in prompts]
        said = self.target.answers([text for row in texts for text in row])
        return [
            self._removed(prompt.query, [said[text] for text in row])
            for prompt, row in zip(prompts, texts, strict=True)
        ]

    def _say(self, clean: str, outcome: str) -> str:
        return self.task.format_answer(Answer(changed=clean != outcome, content=outcome))

    def _patched(self, prompts: Sequence[Prompt]) -> list[str]:
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
            self._say(clean[Text(text=patch.text)], outcome)
            for patch, outcome in zip(patches, self.target.patched(patches), strict=True)
        ]

    def _removed(self, query: Query, said: Sequence[str]) -> str:
        """What to say where the answer to the whole text, and without each part, is known."""
        clean, *rest = said
        if "parts" not in query.fields:
            return self._say(clean, rest[0])
        active = [
            part["label"]
            for part, outcome in zip(query.fields["parts"], rest, strict=True)
            if outcome != clean
        ]
        return self.task.format_answer(Choice(part=active[0])) if active else NO_PART


def _texts(query: Query) -> list[calculator.Text]:
    """The whole text of a query, and the text without the part, or each of the parts, it marks."""
    from introspect_bench.benchmark.backends.calculator import Text

    fields = query.fields
    spans = [part["span"] for part in fields["parts"]] if "parts" in fields else [fields["span"]]
    return [
        Text(
            text=fields["text"][:start] + fields["text"][end:],
            prefix=fields["answer_prefix"] if fields["chat"] else None,
            letter=fields["answer_form"] == "letter",
        )
        for start, end in [(0, 0), *spans]
    ]


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
