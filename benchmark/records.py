"""The records every step exchanges; frozen, no I/O, no torch.

Terms: a *query* asks about one intervention on a target model; its *ground truth* is what measuring
the target gave; a *prompt* is the query as text; a *completion* is the explainer's raw reply; an
*answer* is what the parser read in it. Queries are grouped: the members of a contrast *group* share
everything but the vector (patching) or the removed span (ablations).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from .errors import IntegrityError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SPLITS = ("train", "validation", "test")
"""Splits stored on disk; `mini` is a fixed part of `validation`."""

SLOT = "⟦vector⟧"
"""Marks, in a prompt's text, the one place where the query's vector enters the explainer."""

Status = Literal["scored", "unparsed", "missing"]
"""How a query ended; only `scored` can be above zero in any metric."""


GREEDY, WHOLE, COMPARED = "greedy", "whole-reply", "compared"
DECODINGS = (GREEDY, WHOLE, COMPARED)
"""How a reply is chosen: the likeliest token after each token; or that after each of the openings
of the task's answers, and then the reply that is likeliest as a whole, which lets the content speak
in the verdict before it; or greedily with the query's vector and without, the verdict being whether
the two outputs differ."""

ACCESS = ("words", "runs-target", "replays", "oracle", "undeclared")
WORDS, RUNS_TARGET, REPLAYS, ORACLE, UNDECLARED = ACCESS
"""How answers are come by, from the narrowest class to the widest: by reading the query, its text
and its vector; by taking the unmodified target's output on the shown text, or on siblings' texts;
by executing the query's intervention in whole or part; by being told what no contestant has; or
by user code that does not say."""
RANKED = (WORDS, RUNS_TARGET, REPLAYS)
"""Classes whose entries are ranked, each among themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One question about one intervention on a target model."""

    id: str
    """Content hash of the query's fields and vector: 16 hexadecimal digits."""
    group: str
    """Contrast group: 16 hexadecimal digits, shared by its (usually 4) members."""
    kind: str
    """Position kind (patching) or ablation kind; reported apart."""
    fields: Mapping[str, Any]
    """What the prompt template may use; JSON values only, never the ground truth."""
    vector: int | None = None
    """Row of the split's `vectors.safetensors`, or None for a text-only task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a completion says: whether the output changes, and the output after the intervention."""

    changed: bool
    """The verdict."""
    content: str
    """The output after the intervention, as text; equal to the clean output when unchanged. Empty
    if only the verdict was said, which is then all that can be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a completion says to a query of kind `which`: the part that the output rests on."""

    part: str
    """Letter of the part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a completion says a direction encodes: the answer of a description task."""

    text: str
    """The description, normalised."""
    truncated: bool = False
    """Whether more was written than is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundTruth:
    """What the target model did, before and after the intervention."""

    id: str
    """The query's id."""
    clean: str
    """Output without the intervention."""
    outcome: str
    """Output with the intervention (patched, or with the span removed)."""
    clean_ids: tuple[int, ...]
    """Token ids of `clean` in the target's vocabulary."""
    outcome_ids: tuple[int, ...]
    """Token ids of `outcome` in the target's vocabulary."""
    margin: float
    """Smallest gap between the two largest logits over all tokens of all outputs, in logits."""
    nearest_train: float | None = None
    """Largest centred cosine of the query's vector with a training vector of the same place and
    layers; None for training queries and where there is no vector."""
    part: str | None = None
    """Letter of the one part whose removal changes the output; of queries of kind `which` only."""

    def __post_init__(self) -> None:
        """Refuse empty outputs and non-finite margins."""
        if not self.clean or not self.outcome:
            raise IntegrityError(f"ground truth {self.id}: empty output text")
        if not math.isfinite(self.margin):
            raise IntegrityError(f"ground truth {self.id}: margin {self.margin} is not finite")
        if self.part is not None and self.clean == self.outcome:
            raise IntegrityError(
                f"ground truth {self.id}: removing part {self.part} changes nothing"
            )

    @property
    def changed(self) -> bool:
        """Whether the intervention changes the output."""
        return self.clean != self.outcome

    @property
    def answer(self) -> Answer | Choice:
        """The answer that scores 1."""
        if self.part is not None:
            return Choice(part=self.part)
        return Answer(changed=self.changed, content=self.outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureTruth:
    """What is known about a feature; its activations are arrays of the suite."""

    id: str
    """The query's id."""
    descriptions: tuple[str, ...]
    """Wordings of the reference description, the first one preferred."""
    predicate: str
    """Name of the predicate they are wordings of."""
    r_search: float
    """Correlation of predicate and activation on the half of the text it was found on."""
    r_held_out: float
    """Correlation on the other half."""
    token_r: float
    """Correlation on the other half of the mean activation of each token."""
    bigram_r: float
    """The same of each pair of neighbouring tokens."""
    token_auroc: float | None
    """Chance, on the other half, that the predicate tells a strong from a silent occurrence of one
    token; None where no token has both."""
    bigram_auroc: float | None
    """The same of one pair of neighbouring tokens."""
    nearest_train: float
    """Largest cosine of the vector with another one of the training split."""

    @property
    def answer(self) -> Description:
        """The preferred wording."""
        return Description(text=self.descriptions[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One solved query shown before the question (few-shot)."""

    question: str
    """Rendered question; may hold one `SLOT`."""
    answer: str
    """The reply that would score 1."""
    vector: npt.NDArray[np.float32] | None = field(default=None, compare=False)
    """Vector of the slot, shape (d_target,), or None."""
    fields: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """Fields of the query."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A query as the explainer sees it.

    Explainers answer `question`, after `instructions` and `shots`.
    """

    query: Query
    """The query itself, for explainers that are not language models."""
    template: str
    """Id of the template that rendered it, such as `activation-patching/2`."""
    instructions: str
    """Text shared by every query of this template: what is asked and how to answer."""
    question: str
    """Text of this query; holds `SLOT` exactly once if the task has a vector."""
    vector: npt.NDArray[np.float32] | None = field(default=None, compare=False)
    """The query's vector, shape (d_target,), or None for text-only tasks."""
    shots: Sequence[Turn] = ()
    """Solved training queries to show first; empty for zero-shot."""
    openings: tuple[str, ...] = ()
    """What the task's answers begin with (`Task.openings`), for who wants to be held to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """An explainer's raw reply to one prompt."""

    text: str
    """Raw text, untouched."""
    n_in: int = 0
    """Prompt tokens read, 0 if the explainer has no tokens."""
    n_out: int = 0
    """Tokens generated."""
    confidence: float | None = None
    """Probability, from 0 to 1, that the answer is right, if the explainer says one."""
    logprobs: Sequence[float] = field(default=(), compare=False)
    """Natural log-probability of each token generated, given all before it; empty if unknown."""
    ends: Sequence[int] = field(default=(), compare=False)
    """Characters of the text that are written once each of these tokens is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replied:
    """One query and what the explainer wrote, before anything is compared."""

    query: Query
    """The query."""
    raw: str | None
    """Raw completion; None if missing."""
    answer: Answer | Choice | Description | None
    """Parsed answer; None if missing or unparsed."""

    @property
    def status(self) -> Status:
        """Exactly one of scored, unparsed, missing."""
        if self.raw is None:
            return "missing"
        return "unparsed" if self.answer is None else "scored"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored(Replied):
    """A reply to a query about an intervention, with what measuring the target gave."""

    answer: Answer | Choice | None
    """Parsed answer of the kind that the query asks for; None if missing or unparsed."""
    truth: GroundTruth
    """What measuring the target gave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """How well predicted activations follow a feature's, in the windows it is scored on."""

    matched_auroc: float | None
    """2 AUROC - 1 over marked tokens that are matched; None if the feature has none."""
    weighted_r: float
    """Signed correlation over all tokens of the random windows, weighted as they were sampled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described(Replied):
    """A reply to a query about a feature, with what its description predicts.

    Without a description every number is 0.
    """

    answer: Description | None
    """Parsed answer; None if missing or unparsed."""
    truth: FeatureTruth
    """What is known about the feature."""
    found: Predicted
    """What the suite's own judge predicts."""
    mapped: str | None
    """How that judge read the description, one of `judgements.MAPPED`; None without one."""
    others: Mapping[str, Predicted] = field(default_factory=dict)
    """What other judges predict, by judge that judged the whole run."""
    ratings: Mapping[str, float | None] = field(default_factory=dict)
    """Rating, 0 to 1, by language model that judged the run; None if its reply was malformed."""
