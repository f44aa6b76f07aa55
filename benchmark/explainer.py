"""The interface between the benchmark and whatever answers queries; no ground truth."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from .records import UNDECLARED, WORDS, Completion, Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainerCard:
    """Who answers: everything that could change the completions; it goes into the run header."""

    name: str  # What the user typed after `--model`
    # `baseline`, `oracle` (gets something that no contestant has), `local`, `lm-eval` (a model that
    # lm-eval runs), `endpoint` (one that a server runs) or `custom`
    kind: str
    access: str = UNDECLARED  # One of `ACCESS`; set by the harness where it makes the run
    revision: str | None = None  # Hub revision or None
    # Sha256 of every weight file read, adapters included, by name
    weights_sha256: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)  # What else changes answers, as JSON


class Explainer(Protocol):
    """Anything that answers prompts."""

    def complete(self, prompts: Sequence[Prompt]) -> Sequence[Completion | str]:
        """Answer a batch of prompts, one reply each, in order.

        All prompts of one call share `template`, `instructions` and `shots`. A run that is repeated
        or resumed calls with the same batches, so a deterministic explainer gives the same rows.
        """


@runtime_checkable
class Priced(Protocol):
    """An explainer whose replies cost money: each is asked for and kept by itself."""

    def complete_each(
        self, prompts: Sequence[Prompt]
    ) -> Generator[tuple[int, Completion], None, None]:
        """Yield `(index of the prompt, reply)` as replies come."""

    def spent_before(self, n_in: int, n_out: int) -> None:
        """Count tokens of replies that a run file holds already."""

    def price(self, n_in: int, n_out: int) -> dict[str, float]:
        """Return what so many tokens cost, as a footer says it."""

    def close(self) -> None:
        """Close all connections."""


# What a baseline opens: the training split with its truth, vectors, the target's weights, or what
# only oracles get
Need = Literal["train", "vectors", "target-model", "oracle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineSpec:
    """One baseline, as listed."""

    name: str  # Name after `baseline/`
    kind: Literal["baseline", "oracle"]  # An oracle gets something that no contestant has
    summary: str  # One sentence: how it answers
    # What it opens; never the truth of the split it answers, but for the oracle of descriptions
    needs: tuple[Need, ...]
    access: str = WORDS  # Access class, one of `records.ACCESS`
    one_verdict: bool = False  # Whether it always gives the same verdict, which is no finding
    tasks: tuple[str, ...] = ("activation-patching", "input-ablations")  # Tasks it can answer
    shots: int = 0  # Solved training queries its prompts show by default
    opens: bool = False  # Whether its replies are made to begin as the task's answers do
