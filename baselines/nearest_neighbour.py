"""The answer of the most similar training query.

Vector tasks: cosine of vectors among training queries of the same position kind and layers. Text
tasks: cosine of TF-IDF weighted character n-grams among training queries of the same kind, the
whole text and the removed part counting alike. Where training has no such query, all are compared.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ..benchmark.errors import UsageError
from ..benchmark.records import Prompt, Query
from ..benchmark.suite.rows import checked_vectors
from ..benchmark.suite.suite import Suite
from ..benchmark.task import Task
from .constant import Solved, solved_train

FloatArray = npt.NDArray[np.float32]

N_GRAMS = (3, 4)
"""Lengths of the character n-grams."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorNeighbour:
    """Compares vectors."""

    replies: Sequence[str]
    """Reply of each training query."""
    vectors: FloatArray
    """Vectors of the training queries at unit length, (n_train, d_target)."""
    cells: Mapping[Hashable, npt.NDArray[np.intp]]
    """Training queries of each kind and block of layers."""

    def complete(self, prompts: Sequence[Prompt]) -> list[str]:
        """Give each prompt the reply of the training query with the most similar vector."""
        return [self._reply(prompt) for prompt in prompts]

    def _reply(self, prompt: Prompt) -> str:
        if prompt.vector is None:
            raise UsageError(f"query {prompt.query.id} came without the vector to compare")
        among = self.cells.get(_block(prompt.query), np.arange(len(self.replies)))
        # dividing by the query's own norm would not change the order
        similarity = self.vectors[among] @ prompt.vector
        return self.replies[int(among[int(np.argmax(similarity))])]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextNeighbour:
    """Compares texts."""

    replies: Sequence[str]
    """Reply of each training query."""
    weights: TextWeights
    """Weights of n-grams, learnt on the training split."""
    rows: sparse.csr_array
    """Weighted n-grams of the training queries, (n_train, 2 * n_grams)."""
    cells: Mapping[Hashable, npt.NDArray[np.intp]]
    """Training queries of each kind."""

    def complete(self, prompts: Sequence[Prompt]) -> list[str]:
        """Give each prompt the reply of the training query with the most similar text."""
        asked = self.weights.rows([prompt.query for prompt in prompts])
        everyone = np.arange(len(self.replies))
        replies = []
        for index, prompt in enumerate(prompts):
            among = self.cells.get(prompt.query.kind, everyone)
            similarity = (self.rows[among] @ asked[[index]].T).toarray()[:, 0]
            replies.append(self.replies[int(among[int(np.argmax(similarity))])])
        return replies


@dataclass(frozen=True, slots=True, kw_only=True)
class TextWeights:
    """Which n-grams count, and how much."""

    index: Mapping[str, int]
    """Column of each n-gram seen in training."""
    weight: FloatArray
    """Inverse document frequency, ln((1 + n) / (1 + n_with)) + 1, (n_grams,)."""

    def rows(self, queries: Sequence[Query]) -> sparse.csr_array:
        """Weighted counts, (n_queries, 2 * n_grams): text and removed part, each of unit length.

        Where one of several parts is asked for, none is the removed one, and its half is zero.
        """
        parts = [
            self._rows([query.fields.get(name, "") for query in queries])
            for name in ("text", "removed")
        ]
        return sparse.csr_array(sparse.hstack(parts, format="csr"))

    def _rows(self, texts: Sequence[str]) -> sparse.csr_array:
        data: list[float] = []
        columns: list[int] = []
        ends = [0]
        for text in texts:
            counts = Counter(gram for gram in n_grams(text) if gram in self.index)
            places = [self.index[gram] for gram in counts]
            values = np.array(list(counts.values()), dtype=np.float32) * self.weight[places]
            norm = float(np.linalg.norm(values))
            data += (values / norm if norm else values).tolist()
            columns += places
            ends.append(len(columns))
        shape = (len(texts), len(self.index))
        return sparse.csr_array((np.array(data, dtype=np.float32), columns, ends), shape=shape)


def n_grams(text: str) -> Iterable[str]:
    """All character n-grams of a text, lower-cased, with one space at both ends."""
    text = f" {text.lower()} "
    return (text[i : i + n] for n in N_GRAMS for i in range(len(text) - n + 1))


def learn_weights(queries: Sequence[Query]) -> TextWeights:
    """Count in how many queries each n-gram occurs."""
    seen: Counter[str] = Counter()
    for query in queries:
        seen.update(
            set(n_grams(query.fields["text"])) | set(n_grams(query.fields.get("removed", "")))
        )
    grams = sorted(seen)
    counts = np.array([seen[gram] for gram in grams], dtype=np.float64)
    weight = np.log((1 + len(queries)) / (1 + counts)) + 1
    return TextWeights(
        index={gram: column for column, gram in enumerate(grams)},
        weight=weight.astype(np.float32),
    )


def learn(
    task: Task, suite: Suite, _split: str
) -> tuple[VectorNeighbour | TextNeighbour, dict[str, Any]]:
    """Index the training split.

    Raises:
        UsageError: the training split is empty, or has no vectors where the task needs them.
        IntegrityError: one of its files is corrupt.
    """
    solved = solved_train(suite)
    replies = [task.format_answer(one.answer) for one in solved]
    if task.uses_vector:
        queries = [one.query for one in solved]
        table = checked_vectors(suite, "train", queries)
        if table is None:
            raise UsageError(f"suite {suite.name}: its training queries have no vectors")
        explainer = VectorNeighbour(
            replies=replies,
            vectors=_unit(table, queries),
            cells=_cells(solved, [_block(one.query) for one in solved]),
        )
        return explainer, {"similarity": "cosine of vectors", "same": ["kind", "layers"]}
    weights = learn_weights([one.query for one in solved])
    text = TextNeighbour(
        replies=replies,
        weights=weights,
        rows=weights.rows([one.query for one in solved]),
        cells=_cells(solved, [one.query.kind for one in solved]),
    )
    return text, {"similarity": "cosine of TF-IDF", "n_grams": list(N_GRAMS), "same": ["kind"]}


def _cells(
    solved: Sequence[Solved], keys: Sequence[Hashable]
) -> dict[Hashable, npt.NDArray[np.intp]]:
    members: defaultdict[Hashable, list[int]] = defaultdict(list)
    for index, key in zip(range(len(solved)), keys, strict=True):
        members[key].append(index)
    return {key: np.array(indices) for key, indices in members.items()}


def _unit(table: npt.NDArray[np.float16], queries: Sequence[Query]) -> FloatArray:
    """Vectors of queries at unit length, (n_queries, d_target); a zero vector stays zero."""
    rows = [query.vector for query in queries if query.vector is not None]
    vectors = table[rows].astype(np.float32)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: FloatArray = np.divide(vectors, norms, out=vectors, where=norms > 0)
    return unit


def _block(query: Query) -> Hashable:
    return query.kind, tuple(query.fields["layers"])
