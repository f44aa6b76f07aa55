"""The target explains a vector put in the place of a word, untrained: SelfIE.

After Chen et al., SelfIE (arXiv:2403.10949): the vector takes the place of a word's hidden state at
an early layer, and the model is asked what the word means. One length for all vectors, chosen on
validation; the oracle tries five and keeps the reply whose simulated activations fit best in
windows it is told (never those that are scored).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from introspect_bench.baselines.specs import FEATURES
from introspect_bench.baselines.untrained import target_name
from introspect_bench.benchmark.backends.injection import Injection, Injections, merged
from introspect_bench.benchmark.correlations import signed_r
from introspect_bench.benchmark.explainer import Explainer, ExplainerCard
from introspect_bench.benchmark.records import SLOT, Completion, Prompt
from introspect_bench.benchmark.suite import Suite
from introspect_bench.benchmark.suite_features import arrays
from introspect_bench.benchmark.task import Task
from introspect_bench.tasks.feature_descriptions.judges import open_simulator

QUESTION = f'What is the meaning of the word "{SLOT}"? Answer in a few words.'
"""What is asked."""
OPENING = "It means"
"""How replies are made to begin; the rest is free."""
LAYER = 2
"""Decoder layer whose output is replaced."""
MULTIPLIERS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Lengths that are tried, in lengths of the hidden state that is replaced."""
MULTIPLIER = 2.0
"""The length that is used, see `tasks/feature_descriptions/README.md` for the choice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selfie:
    """Asks the target about a word that is the vector."""

    model: Explainer
    """The target."""

    def complete(self, prompts: Sequence[Prompt]) -> Sequence[Completion | str]:
        """Ask about each prompt's vector; the task's own wording is not used."""
        return self.model.complete([_asked(prompt) for prompt in prompts])


@dataclass(frozen=True, slots=True, kw_only=True)
class BestSelfie:
    """Asks at several lengths and keeps the reply that simulates best."""

    models: Sequence[Selfie]
    """One for each length."""
    task: Task
    """Reads replies."""
    simulator: Any
    """The suite's own, with `silent` (`benchmark.backends.simulator.Simulator`)."""
    told: dict[str, tuple[Any, Any]]
    """Windows (8, 32) and activations (8, 32) by query id."""

    def complete(self, prompts: Sequence[Prompt]) -> list[Completion | str]:
        """Ask at every length and choose for each prompt."""
        tried = [list(model.complete(prompts)) for model in self.models]
        windows, activations = (
            np.stack([self.told[prompt.query.id][part] for prompt in prompts]) for part in (0, 1)
        )
        # what is predicted without a description is the same for all that are tried
        silent = self.simulator.silent(windows)
        fits = np.stack([self._fits(replies, windows, activations, silent) for replies in tried])
        return [tried[best][row] for row, best in enumerate(fits.argmax(axis=0))]

    def _fits(
        self, replies: Sequence[Completion | str], windows: Any, activations: Any, silent: Any
    ) -> Any:
        texts = [reply if isinstance(reply, str) else reply.text for reply in replies]
        read = [self.task.parse(text) for text in texts]
        described = ["" if answer is None else self.task.format_answer(answer) for answer in read]
        predicted = self.simulator.predict(described, windows, silent=silent)
        return signed_r(activations, predicted)[0]


def load_selfie(
    suite: Suite,
    *,
    device: str,
    dtype: str,
    batch_size: int | None,
    injection: Injections | None,
) -> tuple[Selfie, ExplainerCard]:
    """Load the target; see `load_local` for arguments and errors."""
    from introspect_bench.benchmark.backends.loading import load_local

    model, card = load_local(
        target_name(suite),
        device=device,
        dtype=dtype,
        batch_size=batch_size,
        injection=merged(injection, placed(MULTIPLIER)),
        task=FEATURES,
        openings=(OPENING,),
    )
    settings = {**card.settings, "question": QUESTION}
    return Selfie(model=model), dataclasses.replace(
        card, name="baseline/selfie", kind="baseline", settings=settings
    )


def load_best(
    task: Task, suite: Suite, split: str, *, device: str, dtype: str, batch_size: int | None
) -> tuple[BestSelfie, ExplainerCard]:
    """Load the target and the suite's simulator.

    Raises:
        UsageError: the suite's simulator is not here, or as `load_local`.
        MissingPartError: as `load_local`.
        IntegrityError: as `load_local`, or the simulator is not the suite's.
    """
    from introspect_bench.benchmark.backends.generation import LocalExplainer

    first, card = load_selfie(
        suite, device=device, dtype=dtype, batch_size=batch_size, injection=placed(MULTIPLIERS[0])
    )
    target: Any = first.model
    others = [
        LocalExplainer(
            target.model,
            target.encoder.tokenizer,
            injection=placed(number),
            batch_size=target.batch_size,
            openings=(OPENING,),
        )
        for number in MULTIPLIERS[1:]
    ]
    told = arrays(suite, split, "oracle")
    explainer = BestSelfie(
        models=[first, *(Selfie(model=model) for model in others)],
        task=task,
        simulator=open_simulator(suite, device=device),
        told={
            query.id: (ids, values.astype(np.float32))
            for query, ids, values in zip(
                suite.queries(split), told["ids"], told["activations"], strict=True
            )
        },
    )
    settings = {**card.settings, "multipliers": list(MULTIPLIERS)}
    return explainer, dataclasses.replace(
        card, name="baseline/selfie-best-of-5", kind="oracle", settings=settings
    )


def placed(multiplier: float) -> Injection:
    """Return how the vector enters at one length."""
    return Injection(mode="replace", layer=LAYER, scaling="norm-matched", multiplier=multiplier)


def _asked(prompt: Prompt) -> Prompt:
    return dataclasses.replace(prompt, instructions="", question=QUESTION, shots=())
