"""Clusters of near-duplicate vectors, which never cross splits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

NEAR = 0.9
"""Cosine above which two vectors are near-duplicates."""
_ROWS = 1024

Directions = npt.NDArray[np.float32]


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
