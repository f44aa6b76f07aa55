"""Metrics of descriptions: pure functions from simulated queries and weights to one number.

A query without a usable description counts 0 in every denominator. Weights and shapes are as in
`verdicts.py`. Columns are whole millionths, so that sums are exact in any order.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

UNIT = 1_000_000  # Steps of 1 in a column

FloatArray = npt.NDArray[np.float64]
Column = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Scored queries as columns of equal length, at least one row."""

    group: npt.NDArray[np.int64]  # The query's contrast group, from 0 without gaps, (n_queries,)

    def __post_init__(self) -> None:
        """Refuse an empty table and columns of different length."""
        lengths = {len(getattr(self, column.name)) for column in fields(self)}
        if len(lengths) > 1:
            raise ValueError(f"columns of different length: {sorted(lengths)}")
        if not self.n:
            raise ValueError("no queries: a mean over nothing has no value")
        if not np.bincount(self.group).all():
            raise ValueError("group numbers have gaps")

    @property
    def n(self) -> int:
        """Number of queries."""
        return len(self.group)

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return int(self.group.max()) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DescriptionTable(Table):
    """Simulated queries, in millionths."""

    matched_auroc: Column  # 2 AUROC - 1 of matched tokens, (n_queries,); 0 where there are none
    marked: npt.NDArray[np.bool_]  # Whether the feature has matched tokens, (n_queries,)
    weighted_r: Column  # Weighted correlation over random windows, (n_queries,)


def matched_auroc(table: DescriptionTable, weights: FloatArray) -> FloatArray:
    """Return the mean of 2 AUROC - 1 over features with matched tokens; NaN without weight."""
    check_weights(weights)
    own = weights * table.marked
    total = own.sum(axis=-1)
    found: FloatArray = np.full_like(total, np.nan)
    np.divide(weighted_sum(table.matched_auroc, own), total * UNIT, out=found, where=total > 0)
    return found


def weighted_r(table: DescriptionTable, weights: FloatArray) -> FloatArray:
    """Return the mean over features of the weighted correlation over random windows, -1 to 1."""
    check_weights(weights)
    return np.asarray(weighted_sum(table.weighted_r, weights) / (weights.sum(axis=-1) * UNIT))


METRICS = {"matched_auroc": matched_auroc, "weighted_r": weighted_r}


def weighted_sum(column: npt.NDArray[Any], weights: FloatArray) -> FloatArray:
    """Sum whole numbers, exact in any order: results do not depend on threads or the BLAS."""
    return np.asarray(weights @ column.astype(np.float64))


def check_weights(weights: FloatArray) -> None:
    """Refuse resamples in which no query has weight."""
    if not (weights.sum(axis=-1) > 0).all():
        raise ValueError("no weight: a mean over nothing has no value")
