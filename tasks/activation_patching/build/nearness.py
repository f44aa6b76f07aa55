"""How near the vector of a query is to a training vector: whoever learnt by heart answers those.

Pure. Vectors are compared within a kind of place and a block, after the mean of the training
vectors there is taken off: raw cosines are all near 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ....benchmark.suite.freeze import Measured

Cell = tuple[str, tuple[int, ...]]  # kind of place; first and last layer


def cell_of(query: Measured) -> Cell:
    """Where a query's vector is written."""
    return query.place or query.kind, tuple(query.fields["layers"])


def nearest(vectors: npt.NDArray[Any], training: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Largest cosine of each of `vectors` (n, d) with one of `training` (m, d), centred; (n,).

    Both are centred with the mean of `training`.
    """
    centre = training.astype(np.float64).mean(axis=0)
    left, right = vectors.astype(np.float64) - centre, training.astype(np.float64) - centre
    left /= np.maximum(np.linalg.norm(left, axis=1, keepdims=True), 1e-12)
    right /= np.maximum(np.linalg.norm(right, axis=1, keepdims=True), 1e-12)
    found: npt.NDArray[np.float64] = (left @ right.T).max(axis=1)
    return found


def with_nearest(
    groups: Mapping[str, Sequence[Sequence[Measured]]],
) -> dict[str, list[list[Measured]]]:
    """Groups of splits; those of validation and test get `nearest_train` and `to_mean` from train.

    Queries of cells without training vectors, and of train itself, keep None.
    """
    training: dict[Cell, list[npt.NDArray[np.float16]]] = {}
    for group in groups.get("train", ()):
        for query in group:
            if query.vector is not None:
                training.setdefault(cell_of(query), []).append(query.vector)
    tables = {cell: np.stack(rows) for cell, rows in training.items()}
    return {
        split: [[_told(query, split, tables) for query in group] for group in own]
        for split, own in groups.items()
    }


def _told(query: Measured, split: str, tables: Mapping[Cell, npt.NDArray[np.float16]]) -> Measured:
    table = tables.get(cell_of(query))
    if table is None or query.vector is None:
        return query
    mean = table.astype(np.float64).mean(axis=0)
    gap = float(np.linalg.norm(query.vector.astype(np.float64) - mean))
    told = None if query.distances is None else {**query.distances, "to_mean": gap}
    near = None if split == "train" else float(nearest(query.vector[None], table)[0])
    return replace(query, nearest_train=near, distances=told)
