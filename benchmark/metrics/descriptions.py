"""Metrics of descriptions: pure functions from simulated queries and weights to one number.

A query without a usable description counts 0 in every denominator. Weights and shapes are as in
`verdicts.py`. Columns are whole millionths, so that sums are exact in any order.
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

    matched_auroc: Column
    """2 AUROC - 1 of matched tokens, (n_queries,); 0 where there are none."""
    marked: npt.NDArray[np.bool_]
    """Whether the feature has matched tokens, (n_queries,)."""
    weighted_r: Column
    """Weighted correlation over random windows, (n_queries,)."""
    group: npt.NDArray[np.int64]
    """Number of the query's group, from 0 without gaps, (n_queries,)."""

    def __post_init__(self) -> None:
        """Refuse an empty table and columns of different length."""
        if any(len(column) != self.n for column in (self.matched_auroc, self.marked, self.group)):
            raise ValueError("columns of different length")
        if not self.n:
            raise ValueError("no queries: a mean over nothing has no value")
        if not np.bincount(self.group).all():
            raise ValueError("group numbers have gaps")

    @property
    def n(self) -> int:
        """Number of queries."""
        return len(self.weighted_r)

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return int(self.group.max()) + 1


Metric = Callable[[DescriptionTable, FloatArray], FloatArray]
"""A formula."""


def matched_auroc(table: DescriptionTable, weights: FloatArray) -> FloatArray:
    """Return the mean of 2 AUROC - 1 over features with matched tokens; NaN without weight."""
    _check(weights)
    own = weights * table.marked
    total = own.sum(axis=-1)
    found: FloatArray = np.full_like(total, np.nan)
    np.divide(_sum(table.matched_auroc, own), total * UNIT, out=found, where=total > 0)
    return found


def weighted_r(table: DescriptionTable, weights: FloatArray) -> FloatArray:
    """Return the mean over features of the weighted correlation over random windows, -1 to 1."""
    _check(weights)
    return np.asarray(_sum(table.weighted_r, weights) / (weights.sum(axis=-1) * UNIT))


METRICS: Mapping[str, Metric] = {"matched_auroc": matched_auroc, "weighted_r": weighted_r}


def _sum(column: Column, weights: FloatArray) -> FloatArray:
    # sums of whole numbers are exact in any order; divisions come last
    return np.asarray(weights @ column.astype(np.float64))


def _check(weights: FloatArray) -> None:
    if not (weights.sum(axis=-1) > 0).all():
        raise ValueError("no weight: a mean over nothing has no value")
