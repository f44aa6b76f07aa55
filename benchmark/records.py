"""The records that all steps exchange; frozen, no I/O, no torch.

A *query* asks about one intervention on a target model; its *ground truth* is what measuring the
target gave; a *completion* is the explainer's raw reply; an *answer* is what the parser read in it.
Members of a contrast *group* share everything but the vector or the removed span.
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

SPLITS = ("train", "validation", "test")  # On disk; `mini` is a part of `validation`

SLOT = "⟦vector⟧"  # Where, in a prompt's text, the query's vector enters the explainer

Status = Literal["scored", "unparsed", "missing"]  # Only `scored` can be above 0


GREEDY, WHOLE, COMPARED = "greedy", "whole-reply", "compared"
# How a reply is chosen: token by token; or as the likeliest whole reply, one candidate for each
# opening of the task's answers; or greedily with the query's vector and without, the verdict being
# whether the two differ
DECODINGS = (GREEDY, WHOLE, COMPARED)

ACCESS = ("words", "runs-target", "replays", "oracle", "undeclared")
# How answers are come by, narrowest class first: reading the query with its vector; running the
# unmodified target on the shown text or on siblings' texts; executing the intervention in whole or
# part; being told what no contestant has; user code that does not say
WORDS, RUNS_TARGET, REPLAYS, ORACLE, UNDECLARED = ACCESS
RANKED = (WORDS, RUNS_TARGET, REPLAYS)  # Classes whose entries are ranked, each among themselves


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One question about one intervention on a target model."""

    id: str  # Hash of the query's fields and vector: 16 hexadecimal digits
    group: str  # Contrast group: 16 hexadecimal digits
    kind: str  # Position kind (patching) or ablation kind; reported apart
    fields: Mapping[str, Any]  # What prompts may use, as JSON; never the ground truth
    vector: int | None = None  # Row of the split's `vectors.safetensors`; None for a text-only task


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Whether the output changes, and the output after the intervention."""

    changed: bool  # The verdict
    content: str  # After the intervention, also if unchanged; empty if not said


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The answer to a query of kind `which`: the part that the output rests on."""

    part: str  # Letter of the part


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a direction encodes: the answer of a description task."""

    text: str  # The description, normalised
    truncated: bool = False  # Whether more was written than is read


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundTruth:
    """What the target model did, before and after the intervention."""

    id: str  # The query's id
    clean: str  # Output without the intervention
    outcome: str  # Output with the intervention (patched, or with the span removed)
    clean_ids: tuple[int, ...] | None  # Token ids of `clean`; None: imported, not known
    outcome_ids: tuple[int, ...] | None  # Token ids of `outcome`, or None
    # Smallest gap between the two largest logits over all tokens of all outputs, or None
    margin: float | None
    # Largest centred cosine of the vector with a training vector of the same place and layers; None
    # for training queries and without a vector
    nearest_train: float | None = None
    part: str | None = None  # Letter of the part whose removal changes the output (`which`)

    def __post_init__(self) -> None:
        """Refuse empty outputs and non-finite margins."""
        if not self.clean or not self.outcome:
            raise IntegrityError(f"ground truth {self.id}: empty output text")
        if self.margin is not None and not math.isfinite(self.margin):
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

    id: str  # The query's id
    descriptions: tuple[str, ...]  # Wordings of the reference description, the preferred one first
    # Name of the predicate they are wordings of; empty, with nothing below, if they were imported
    predicate: str = ""
    r_search: float = 0  # Correlation of predicate and activation on the searched half of the text
    r_held_out: float = 0  # The same on the other half
    token_r: float = 0  # Correlation on the other half of the mean activation of each token
    bigram_r: float = 0  # The same of each pair of neighbouring tokens
    # Chance, on the other half, that the predicate tells a strong from a silent occurrence of one
    # token; None where no token has both
    token_auroc: float | None = None
    bigram_auroc: float | None = None  # The same of one pair of neighbouring tokens
    nearest_train: float = 0  # Largest cosine of the vector with another one of the training split

    @property
    def answer(self) -> Description:
        """The preferred wording."""
        return Description(text=self.descriptions[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One solved query shown before the question (few-shot)."""

    question: str  # Rendered question; may hold one `SLOT`
    answer: str  # The reply that would score 1
    # Vector of the slot, (d_target,), or None
    vector: npt.NDArray[np.float32] | None = field(default=None, compare=False)
    fields: Mapping[str, Any] = field(default_factory=dict, compare=False)  # Fields of the query


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A query as the explainer sees it: `question`, after `instructions` and `shots`."""

    query: Query  # The query itself, for explainers that are no language models
    template: str  # Id of the template that rendered it, such as `activation-patching/2`
    instructions: str  # Text shared by all queries of the template
    question: str  # Text of this query; holds `SLOT` exactly once if the task has a vector
    # The query's vector, (d_target,), or None
    vector: npt.NDArray[np.float32] | None = field(default=None, compare=False)
    shots: Sequence[Turn] = ()  # Solved training queries to show first
    openings: tuple[str, ...] = ()  # What answers begin with, for explainers held to it


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """An explainer's raw reply to one prompt."""

    text: str  # Raw text, untouched
    n_in: int = 0  # Prompt tokens read; 0 if the explainer has no tokens
    n_out: int = 0  # Tokens generated
    confidence: float | None = None  # Stated probability, 0 to 1, that the answer is right
    logprobs: Sequence[float] = field(default=(), compare=False)  # Of each token generated, natural
    ends: Sequence[int] = field(default=(), compare=False)  # Characters up to each of these tokens
    reason: str | None = None  # Why it holds no text, or not all of it, if a server said so


@dataclass(frozen=True, slots=True, kw_only=True)
class Replied:
    """One query and what the explainer wrote, before anything is compared."""

    query: Query  # The query
    raw: str | None  # Raw completion; None if missing
    answer: Answer | Choice | Description | None  # Parsed answer; None if missing or unparsed

    @property
    def status(self) -> Status:
        """Exactly one of scored, unparsed, missing."""
        if self.raw is None:
            return "missing"
        return "unparsed" if self.answer is None else "scored"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored(Replied):
    """A reply to a query about an intervention, with its ground truth."""

    answer: Answer | Choice | None  # Of the kind that the query asks for
    truth: GroundTruth  # What measuring the target gave


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """How well predicted activations follow a feature's, in the windows it is scored on."""

    # 2 AUROC - 1 over marked tokens that are matched; None if the feature has none
    matched_auroc: float | None
    weighted_r: float  # Over all tokens of the random windows, weighted as they were sampled


@dataclass(frozen=True, slots=True, kw_only=True)
class Described(Replied):
    """A reply to a query about a feature, with what its description predicts; all 0 without one."""

    answer: Description | None  # Parsed answer; None if missing or unparsed
    truth: FeatureTruth  # What is known about the feature
    found: Predicted  # What the suite's own judge predicts
    mapped: str | None  # How it read the description, one of `runs.run.MAPPED`
    others: Mapping[str, Predicted] = field(default_factory=dict)  # By the other judges of all
    ratings: Mapping[str, float | None] = field(default_factory=dict)  # 0 to 1; None: malformed
