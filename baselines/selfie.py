"""The target explains a vector put in the place of a word, untrained: SelfIE.

After Chen et al., SelfIE (arXiv:2403.10949): the vector takes the place of a word's hidden state at
an early layer, and the model is asked what the word means. One length for all vectors.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from ..benchmark.backends.injection.spec import Injection, Injections, merged
from ..benchmark.explainer import Explainer, ExplainerCard
from ..benchmark.records import SLOT, Completion, Prompt
from ..benchmark.suite.suite import Suite
from .prompted import target_name
from .registry import FEATURES

QUESTION = f'What is the meaning of the word "{SLOT}"? Answer in a few words.'
"""What is asked."""
OPENING = "It means"
"""How replies are made to begin; the rest is free."""
LAYER = 2
"""Decoder layer whose output is replaced."""
MULTIPLIER = 2.0
"""Length of the vector, in lengths of the hidden state that is replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selfie:
    """Asks the target about a word that is the vector."""

    model: Explainer
    """The target."""

    def complete(self, prompts: Sequence[Prompt]) -> Sequence[Completion | str]:
        """Ask about each prompt's vector; the task's own wording is not used."""
        return self.model.complete([_asked(prompt) for prompt in prompts])


def load_selfie(
    suite: Suite,
    *,
    device: str,
    dtype: str,
    batch_size: int | None,
    injection: Injections | None,
) -> tuple[Selfie, ExplainerCard]:
    """Load the target; see `load_local` for arguments and errors."""
    from ..benchmark.backends.explainer.load import load_local

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


def placed(multiplier: float) -> Injection:
    """Return how the vector enters at one length."""
    return Injection(mode="replace", layer=LAYER, scaling="norm-matched", multiplier=multiplier)


def _asked(prompt: Prompt) -> Prompt:
    return dataclasses.replace(prompt, instructions="", question=QUESTION, shots=())
