"""The one seam between the benchmark and whatever answers queries.

An explainer is any object with `complete`. `ExplainerCard` describes it; it goes into the run
header and is what makes two runs the same or different. Nothing here sees ground truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from introspect_bench.benchmark.records import UNDECLARED, Completion, Prompt


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
