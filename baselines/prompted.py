"""The untrained target model as its own explainer; solved queries come with the prompts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from introspect_bench.baselines.registry import FEATURES
from introspect_bench.benchmark.backends.injection.spec import Injection, Injections, merged
from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.explainer import Explainer, ExplainerCard
from introspect_bench.benchmark.models.targets import TARGETS
from introspect_bench.benchmark.records import SLOT, Completion, Prompt
from introspect_bench.benchmark.suite.suite import Suite

if TYPE_CHECKING:
    from introspect_bench.benchmark.backends.injection.spec import Injections


def target_name(suite: Suite) -> str:
    """What the suite's target is loaded by: its name, or hub id and commit, or folder."""
    target = suite.manifest["target"]
    name = str(target["name"])
    if name in {spec.name for spec in TARGETS}:
        return name
    if target.get("source") == "hub":
        return f"{target['location']}@{target['revision']}"
    if isinstance(target.get("location"), str):
        return str(target["location"])
    raise UsageError(f"suite {suite.name}: its manifest does not say where target {name} is")


def load_untrained(
    name: str,
    *,
    task: str,
    suite: Suite,
    device: str,
    dtype: str,
    batch_size: int | None,
    use_vectors: bool,
    injection: Injections | None,
    openings: Sequence[str],
) -> tuple[Explainer, ExplainerCard]:
    """Load the suite's target as an explainer; see `load_local` for arguments."""
    from introspect_bench.benchmark.backends.explainer.load import load_local

    explainer, card = load_local(
        target_name(suite),
        device=device,
        dtype=dtype,
        batch_size=batch_size,
        use_vectors=use_vectors,
        injection=injection,
        task=task,
        openings=openings,
    )
    return explainer, dataclasses.replace(card, name=f"baseline/{name}", kind="baseline")


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
    from introspect_bench.benchmark.backends.explainer.load import load_local

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
