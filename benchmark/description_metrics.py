"""Metrics of descriptions: pure functions from simulated queries and weights to one number.

Owns every formula over the numbers that describing.py works out for each query. A query without a
usable description is part of every denominator and counts 0. Weights and shapes are as in
`metrics.py`. Columns are whole millionths, so that sums are exact in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

UNIT = 1_000_000
"""Steps of 1 in a column."""

FloatArray = npt.NDArray[np.float64]
Column = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class DescriptionTable:
    """Simulated queries as columns of equal length, at least one row, in millionths."""

    pearson: Column
    """Signed correlation of predicted and true activations, (n_queries,)."""
    of_reference: Column
    """The same of the reference description, (n_queries,)."""
    detection: Column
    """AUROC of activating against near-miss windows, (n_queries,)."""
    similarity: Column
    """Rescaled similarity to the reference, (n_queries,)."""
    predicates: Column
    """Correlation by the model-free simulator, (n_queries,); 0 if it was not asked."""
    group: npt.NDArray[np.int64]
    """Number of the query's group, from 0 without gaps, (n_queries,)."""

    def __post_init__(self) -> None:
        """Refuse an empty table and columns of different length."""
        columns = (self.of_reference, self.detection, self.similarity, self.predicates, self.group)
        if any(len(column) != len(self.pearson) for column in columns):
            raise ValueError("columns of different length")
        if not len(self.pearson):
            raise ValueError("no queries: a mean over nothing has no value")
        if not np.bincount(self.group).all():
            raise ValueError("group numbers have gaps")

    @property
    def n(self) -> int:
        """Number of queries."""
        return len(self.pearson)

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return int(self.group.max()) + 1


Metric = Callable[[DescriptionTable, FloatArray], FloatArray]
"""A formula."""


def pearson(table: DescriptionTable, weights: FloatArray) -> FloatArray:
    """Return the mean over features of the signed correlation, -1 to 1.

    Over all tokens of the held-out windows, those included on which the feature is silent; the
    published protocol (arXiv:2511.08579) reads the top windows only and drops the sign.

    Raises:
        ValueError: all weights of a resample are zero.
    """
    return _mean(table.pearson, weights)


def pearson_of_reference(table: DescriptionTable, weights: FloatArray) -> FloatArray:
    """Return the mean correlation as a share of the reference description's, not clipped.

    A ratio of means. Where the references of a resample do not correlate above 0, there is nothing
    to take a share of: NaN.

    Raises:
        ValueError: all weights of a resample are zero.
    """
    own, reference = _mean(table.pearson, weights), _mean(table.of_reference, weights)
    return np.divide(own, reference, out=np.full_like(own, np.nan), where=reference > 0)


def detection_auroc(table: DescriptionTable, weights: FloatArray) -> FloatArray:
    """Return the mean AUROC of activating against near-miss windows, chance being 0.5.

    Raises:
        ValueError: all weights of a resample are zero.
    """
    return _mean(table.detection, weights)


def similarity(table: DescriptionTable, weights: FloatArray) -> FloatArray:
    """Return the mean similarity to the reference; 0 is a random other description, 1 the same.

    Raises:
        ValueError: all weights of a resample are zero.
    """
    return _mean(table.similarity, weights)


def pearson_predicates(table: DescriptionTable, weights: FloatArray) -> FloatArray:
    """Return the mean signed correlation by the model-free simulator, -1 to 1.

    Raises:
        ValueError: all weights of a resample are zero.
    """
    return _mean(table.predicates, weights)


METRICS: Mapping[str, Metric] = {
    "pearson": pearson,
    "pearson_of_reference": pearson_of_reference,
    "detection_auroc": detection_auroc,
    "similarity": similarity,
    "pearson_predicates": pearson_predicates,
}
"""Metrics of descriptions by name."""


def _mean(column: Column, weights: FloatArray) -> FloatArray:
    total = weights.sum(axis=-1)
    if not (total > 0).all():
        raise ValueError("no weight: a mean over nothing has no value")
    # sums of whole numbers are exact in any order; the division comes last
    return np.asarray((weights @ column.astype(np.float64)) / (total * UNIT))
