"""The untrained target model as its own explainer: asked like any other, or by SelfIE.

SelfIE (Chen et al., arXiv:2403.10949): the vector takes the place of a word's hidden state at an
early layer, and the model is asked what the word means. One length for all vectors.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..benchmark.backends.injection.spec import Injection, Injections, merged
from ..benchmark.errors import UsageError
from ..benchmark.explainer import BaselineSpec, Explainer, ExplainerCard
from ..benchmark.models.targets import named_targets
from ..benchmark.records import SLOT, Completion, Prompt
from ..benchmark.suite.suite import Suite
from ..benchmark.task import Task
from .registry import FEATURES

QUESTION = f'What is the meaning of the word "{SLOT}"? Answer in a few words.'
"""What SelfIE asks."""
OPENING = "It means"
"""How its replies are made to begin; the rest is free."""
LAYER = 2
"""Decoder layer whose output is replaced."""
MULTIPLIER = 2.0
"""Length of the vector, in lengths of the hidden state that is replaced."""


def target_name(suite: Suite) -> str:
    """What the suite's target is loaded by: its name, or hub id and commit, or folder."""
    target = suite.manifest["target"]
    name = str(target["name"])
    if name in {spec.name for spec in named_targets()}:
        return name
    if target.get("source") == "hub":
        return f"{target['location']}@{target['revision']}"
    if isinstance(target.get("location"), str):
        return str(target["location"])
    raise UsageError(f"suite {suite.name}: its manifest does not say where target {name} is")


def load_untrained(
    spec: BaselineSpec, task: Task, suite: Suite, **options: Any
) -> tuple[Explainer, ExplainerCard]:
    """Load the suite's target as an explainer; options are those of `load_local`."""
    from ..benchmark.backends.explainer.load import load_local

    openings = task.openings if spec.opens else ()
    explainer, card = load_local(target_name(suite), task=task.name, openings=openings, **options)
    return explainer, dataclasses.replace(card, name=f"baseline/{spec.name}", kind="baseline")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selfie:
    """Asks the target about a word that is the vector."""

    model: Explainer
    """The target."""

    def complete(self, prompts: Sequence[Prompt]) -> Sequence[Completion | str]:
        """Ask about each prompt's vector; the task's own wording is not used."""
        return self.model.complete(
            [
                dataclasses.replace(prompt, instructions="", question=QUESTION, shots=())
                for prompt in prompts
            ]
        )


def load_selfie(
    suite: Suite, *, injection: Injections | None = None, **options: Any
) -> tuple[Selfie, ExplainerCard]:
    """Load the target; options are those of `load_local`."""
    from ..benchmark.backends.explainer.load import load_local

    injection = merged(injection, placed(MULTIPLIER))
    model, card = load_local(
        target_name(suite), injection=injection, task=FEATURES, openings=(OPENING,), **options
    )
    settings = {**card.settings, "question": QUESTION}
    card = dataclasses.replace(card, name="baseline/selfie", kind="baseline", settings=settings)
    return Selfie(model=model), card


def placed(multiplier: float) -> Injection:
    """How the vector enters at one length."""
    return Injection(mode="replace", layer=LAYER, scaling="norm-matched", multiplier=multiplier)
