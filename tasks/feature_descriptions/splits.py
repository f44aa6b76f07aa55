"""Which features go into train, validation and test.

Owns clusters of near-duplicate vectors, which never cross splits, the draw of test and validation
with a cap on each predicate, and how near a vector is to the training split. Pure; the draw is by
hash, not by chance.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from introspect_bench.benchmark.errors import CheckFailedError

NEAR = 0.9
"""Cosine above which two vectors are near-duplicates."""
_ROWS = 1024

Directions = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A feature with its description, before it is put into a split."""

    key: str
    """Name of the feature, unique; orders the draw."""
    layer: int
    """Layer of its vector."""
    predicate: str
    """Name of the predicate that describes it."""
    cluster: int
    """Its cluster of near-duplicates."""


def clusters(directions: Directions, *, near: float = NEAR) -> npt.NDArray[np.int64]:
    """Number of each vector's cluster, (n,): chains of vectors whose cosine is above `near`.

    Args:
        directions: unit vectors, float32 (n, d_target), of any layers.
        near: the cosine.

    Raises:
        ValueError: a vector is not of length 1 within 1e-3.
    """
    if np.abs(np.linalg.norm(directions, axis=1) - 1).max(initial=0) > 1e-3:
        raise ValueError("a vector is not of length 1")
    n = len(directions)
    pairs = [np.empty((2, 0), dtype=np.int64)]
    for start in range(0, n, _ROWS):
        cosines = directions[start : start + _ROWS] @ directions.T
        first, second = np.nonzero(cosines > near)
        pairs.append(np.stack([first + start, second]))
    rows, columns = np.concatenate(pairs, axis=1)
    graph = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def nearest(directions: Directions, train: Directions) -> npt.NDArray[np.float32]:
    """Largest cosine of each vector with any training vector, (n,).

    Raises:
        ValueError: there is no training vector.
    """
    if not len(train):
        raise ValueError("no training vectors")
    parts = [
        (directions[start : start + _ROWS] @ train.T).max(axis=1)
        for start in range(0, len(directions), _ROWS)
    ]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.float32)


def draw(
    features: Sequence[Described], sizes: Mapping[str, int], *, seed: int, predicate_cap: float
) -> dict[str, list[int]]:
    """Put features into splits, whole clusters at a time; what is not drawn is train.

    Layers take turns, so that each has its share. A predicate fills at most `predicate_cap` of a
    drawn split.

    Args:
        features: described features.
        sizes: how many each drawn split gets, in the order of drawing, such as test, validation.
        seed: chooses the order.
        predicate_cap: largest share of one predicate.

    Returns:
        Indices into `features` by split, ascending, `train` included.

    Raises:
        CheckFailedError: a split cannot be filled.
    """
    members: dict[int, list[int]] = {}
    for index, feature in enumerate(features):
        members.setdefault(feature.cluster, []).append(index)
    order = _turns(features, seed)
    taken: dict[int, str] = {}
    drawn: dict[str, list[int]] = {name: [] for name in sizes}
    for name, size in sizes.items():
        limit = max(1, int(predicate_cap * size))
        counts: Counter[str] = Counter()
        for index in order:
            group = members[features[index].cluster]
            if index in taken or len(drawn[name]) + len(group) > size:
                continue
            added = Counter(features[i].predicate for i in group)
            if any(counts[predicate] + more > limit for predicate, more in added.items()):
                continue
            counts += added
            drawn[name] += group
            taken |= dict.fromkeys(group, name)
        if len(drawn[name]) < size:
            raise CheckFailedError(
                f"{name} needs {size} described features, only {len(drawn[name])} fit: more "
                "features or text are needed"
            )
    found = {name: sorted(indices) for name, indices in drawn.items()}
    return {"train": [i for i in range(len(features)) if i not in taken], **found}


def _turns(features: Sequence[Described], seed: int) -> list[int]:
    """Indices in hashed order, layers in turn."""
    by_layer: dict[int, list[int]] = {}
    for index in sorted(range(len(features)), key=lambda i: _rank(seed, features[i].key)):
        by_layer.setdefault(features[index].layer, []).append(index)
    queues = [by_layer[layer] for layer in sorted(by_layer)]
    longest = max(map(len, queues), default=0)
    return [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]


def _rank(seed: int, key: str) -> str:
    return hashlib.sha256(f"{seed}:{key}".encode()).hexdigest()
