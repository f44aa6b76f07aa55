"""Descriptions taken from the training features: constant, random, the nearest one's; an oracle.

They open queries, vectors and truth of the training split, and nothing of the split they answer;
the oracle opens the truth of the split it answers, and says it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..benchmark.errors import UsageError
from ..benchmark.records import FeatureTruth, Prompt
from ..benchmark.suite.rows import checked_vectors
from ..benchmark.suite.suite import Suite
from ..benchmark.task import Task
from .constant import Constant, commonest

FloatArray = npt.NDArray[np.float32]


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
class FeatureNeighbour:
    """Compares vectors with those of training features."""

    replies: Sequence[str]
    """Description of each training feature."""
    vectors: FloatArray
    """Their unit vectors, (n_train, d_target)."""
    layers: Mapping[int, npt.NDArray[np.intp]]
    """Training features of each layer; empty to compare with all."""

    def complete(self, prompts: Sequence[Prompt]) -> list[str]:
        """Give each prompt the description of the training feature with the largest cosine."""
        return [self._reply(prompt) for prompt in prompts]

    def _reply(self, prompt: Prompt) -> str:
        if prompt.vector is None:
            raise UsageError(f"query {prompt.query.id} came without the vector to compare")
        everyone = np.arange(len(self.replies))
        among = self.layers.get(prompt.query.fields["layer"], everyone)
        # dividing by the query's own length would not change the order
        return self.replies[int(among[int(np.argmax(self.vectors[among] @ prompt.vector))])]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Says what it was told."""

    replies: Mapping[str, str]
    """Reply by query id."""

    def complete(self, prompts: Sequence[Prompt]) -> list[str]:
        """Look each query up."""
        return [self.replies[prompt.query.id] for prompt in prompts]


def learn_constant(task: Task, suite: Suite, _split: str) -> tuple[Constant, dict[str, Any]]:
    """Take the preferred wording of the predicate that describes most training features.

    Raises:
        UsageError: the training split is empty.
        IntegrityError: one of its files is corrupt.
    """
    truth = _truth(suite)
    name = commonest(one.predicate for one in truth)
    reply = next(task.format_answer(one.answer) for one in truth if one.predicate == name)
    return Constant(reply=reply), {"reply": reply}


def learn_random(task: Task, suite: Suite, _split: str) -> tuple[Random, dict[str, Any]]:
    """Take the descriptions of all training features.

    Raises:
        UsageError: the training split is empty.
        IntegrityError: one of its files is corrupt.
    """
    return Random(replies=[task.format_answer(one.answer) for one in _truth(suite)]), {
        "drawn by": "sha256 of the query id"
    }


def learn_neighbour(
    task: Task, suite: Suite, _split: str, *, pooled: bool = False
) -> tuple[FeatureNeighbour, dict[str, Any]]:
    """Index the training split; `pooled` compares vectors of all layers.

    Raises:
        UsageError: the training split is empty.
        IntegrityError: one of its files is corrupt.
    """
    truth, queries = _truth(suite), suite.queries("train")
    table = checked_vectors(suite, "train", queries)
    if table is None:
        raise UsageError(f"suite {suite.name}: its training queries have no vectors")
    vectors = table[[query.vector for query in queries if query.vector is not None]]
    unit = vectors.astype(np.float32)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), np.float32(1e-12))
    layer = np.array([query.fields["layer"] for query in queries])
    explainer = FeatureNeighbour(
        replies=[task.format_answer(one.answer) for one in truth],
        vectors=unit,
        layers={} if pooled else {int(one): np.flatnonzero(layer == one) for one in set(layer)},
    )
    return explainer, {"similarity": "cosine of vectors", "same": [] if pooled else ["layer"]}


def learn_reference(task: Task, suite: Suite, split: str) -> tuple[Told, dict[str, Any]]:
    """Open the reference descriptions of the split.

    Raises:
        UsageError: no such split.
        IntegrityError: a file is corrupt.
    """
    truth = suite.feature_truth(split)
    return Told(replies={key: task.format_answer(one.answer) for key, one in truth.items()}), {}


def _truth(suite: Suite) -> list[FeatureTruth]:
    found = list(suite.feature_truth("train").values())
    if not found:
        raise UsageError(f"suite {suite.name}: the training split is empty, nothing to learn from")
    return found
