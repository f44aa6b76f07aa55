"""Descriptions taken from the training features: constant, random, the nearest one's; an oracle.

They open queries, vectors and truth of the training split, and nothing of the split they answer;
the oracle opens the truth of that split, and says it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..benchmark.errors import UsageError
from ..benchmark.records import FeatureTruth, Prompt
from ..benchmark.suite.suite import Suite
from ..benchmark.task import Task
from .constant import Constant, commonest
from .nearest_neighbour import VectorNeighbour, learn_vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Random:
    """Gives every query the description of a training feature drawn by the query's id."""

    replies: Sequence[str]
    """Description of each training feature."""

    def complete(self, prompts: Sequence[Prompt]) -> list[str]:
        """Draw by the sha256 of the id: the same query always gets the same reply."""
        draws = (hashlib.sha256(prompt.query.id.encode()).hexdigest() for prompt in prompts)
        return [self.replies[int(draw, 16) % len(self.replies)] for draw in draws]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Says what it was told."""

    replies: Mapping[str, str]
    """Reply by query id."""

    def complete(self, prompts: Sequence[Prompt]) -> list[str]:
        """Look each query up."""
        return [self.replies[prompt.query.id] for prompt in prompts]


def learn_constant(task: Task, suite: Suite, _split: str) -> tuple[Constant, dict[str, Any]]:
    """Take the preferred wording of the predicate that describes most training features."""
    truth = _truth(suite)
    name = commonest(one.predicate for one in truth)
    reply = next(task.format_answer(one.answer) for one in truth if one.predicate == name)
    return Constant(reply=reply), {"reply": reply}


def learn_random(task: Task, suite: Suite, _split: str) -> tuple[Random, dict[str, Any]]:
    """Take the descriptions of all training features."""
    replies = [task.format_answer(one.answer) for one in _truth(suite)]
    return Random(replies=replies), {"drawn by": "sha256 of the query id"}


def learn_neighbour(
    task: Task, suite: Suite, _split: str, *, pooled: bool = False
) -> tuple[VectorNeighbour, dict[str, Any]]:
    """Index the training split; `pooled` compares vectors of all layers."""
    replies = [task.format_answer(one.answer) for one in _truth(suite)]
    explainer = learn_vectors(suite, replies, lambda query: query.fields["layer"], pool=pooled)
    return explainer, {"similarity": "cosine of vectors", "same": [] if pooled else ["layer"]}


def learn_reference(task: Task, suite: Suite, split: str) -> tuple[Told, dict[str, Any]]:
    """Open the reference descriptions of the split."""
    truth = suite.feature_truth(split)
    return Told(replies={key: task.format_answer(one.answer) for key, one in truth.items()}), {}


def _truth(suite: Suite) -> list[FeatureTruth]:
    truth = list(suite.feature_truth("train").values())
    if not truth:
        raise UsageError(f"suite {suite.name}: the training split is empty, nothing to learn from")
    return truth
