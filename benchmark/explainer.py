"""The one seam between the benchmark and whatever answers queries.

An explainer is any object with `complete`. `ExplainerCard` describes it; it goes into the run
header and is what makes two runs the same or different. Nothing here sees ground truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from .records import UNDECLARED, WORDS, Completion, Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainerCard:
    """Who answers: everything that could change the completions."""

    name: str
    """What the user typed after `--model`."""
    kind: str
    """`baseline`, `oracle` (is told something a contestant is not), `local` or `custom`."""
    access: str = UNDECLARED
    """How it comes by its answers to one task, one of `ACCESS`; the harness sets it where it makes
    the run."""
    revision: str | None = None
    """Hub revision or None."""
    weights_sha256: Mapping[str, str] = field(default_factory=dict)
    """File name to sha256 of every weight file read, adapters included."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """JSON settings that change answers: injection, scaling, number of shots, seed, dtype,
    max_new_tokens."""


class Explainer(Protocol):
    """Anything that answers prompts."""

    def complete(self, prompts: Sequence[Prompt]) -> Sequence[Completion | str]:
        """Answer a batch of prompts, one reply each, in order.

        Called with the same batches whenever a run is repeated or resumed, so a deterministic
        explainer gives the same rows. All prompts of one call share `template`, `instructions` and
        `shots`.
        """
        ...


Need = Literal["train", "vectors", "target-model", "oracle"]
"""What a baseline opens: the training split with its truth, vectors, the target's weights, or what
only oracles are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineSpec:
    """One baseline, as listed."""

    name: str
    """Name after `baseline/`."""
    kind: Literal["baseline", "oracle"]
    """An oracle is told something that no contestant has: a reference, not a contestant."""
    summary: str
    """One sentence: how it answers."""
    needs: tuple[Need, ...]
    """What it opens; none opens the truth of the split it answers, but the oracle that is told the
    reference description."""
    access: str = WORDS
    """How it comes by its answers, one of `records.ACCESS`."""
    one_verdict: bool = False
    """Whether it always gives the same verdict, so that no verdict of it is a finding."""
    tasks: tuple[str, ...] = ("activation-patching", "input-ablations")
    """Names of the tasks it can answer."""
    shots: int = 0
    """Solved training queries its prompts show unless the user says otherwise."""
    opens: bool = False
    """Whether its replies are made to begin as the task's answers do (`Task.openings`)."""
