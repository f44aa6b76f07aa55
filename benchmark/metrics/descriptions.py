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
_CHUNK = 1 << 16  # Numbers that are made floating at once
# Largest sum of a column whose products with bytes are exact in single precision, at half the price
_SINGLE = (1 << 24) // 255

FloatArray = npt.NDArray[np.float64]


class GroupWeights:
    """Weights of queries that are those of their groups: far fewer numbers to sum over.

    Metrics ask for few sums, the same ones again and again; each is computed once, and those that
    `asked_before` was asked for on other weights all together, in one product.
    """

    def __init__(
        self,
        counts: npt.NDArray[np.number[Any]],
        group: npt.NDArray[np.int64],
        asked_before: GroupWeights | None = None,
    ) -> None:
        """Weights of groups, (..., n_groups), and each query's group, (n_queries,)."""
        self._counts, self.group = counts, group
        self._columns: dict[tuple[str, bytes], FloatArray] = {}
        if asked_before is not None:
            self._columns |= asked_before._columns
        columns = [*self._columns.values()]
        sums = self._product(np.stack(columns, axis=1)) if columns else np.empty(0)
        self._sums: dict[tuple[str, bytes], FloatArray] = dict(
            zip(self._columns, np.moveaxis(sums, -1, 0), strict=True)
        )

    def sum(self, column: npt.NDArray[Any]) -> FloatArray:
        """Sum whole numbers, (n_queries,), to (...)."""
        key = (column.dtype.char, column.tobytes())
        if key not in self._sums:
            self._columns[key] = np.bincount(self.group, weights=column).astype(np.float64)
            self._sums[key] = self._product(self._columns[key])
        return self._sums[key]

    def _product(self, columns: FloatArray) -> FloatArray:
        rows, step = self._counts.reshape(-1, len(columns)), max(1, _CHUNK // len(columns))
        small = rows.dtype == np.uint8 and np.abs(columns).sum(axis=0).max() <= _SINGLE
        kind = np.float32 if small else np.float64
        pieces, by = np.split(rows, range(step, len(rows), step)), columns.astype(kind)
        sums = np.concatenate([piece.astype(kind) @ by for piece in pieces])
        return sums.reshape(self._counts.shape[:-1] + columns.shape[1:]).astype(np.float64)


Weights = FloatArray | GroupWeights
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


def matched_auroc(table: DescriptionTable, weights: Weights) -> FloatArray:
    """Return the mean of 2 AUROC - 1 over features with matched tokens; NaN without weight."""
    check_weights(weights)
    total = weighted_sum(table.marked, weights)
    found: FloatArray = np.full_like(total, np.nan)
    area = weighted_sum(table.matched_auroc * table.marked, weights)
    np.divide(area, total * UNIT, out=found, where=total > 0)
    return found


def weighted_r(table: DescriptionTable, weights: Weights) -> FloatArray:
    """Return the mean over features of the weighted correlation over random windows, -1 to 1."""
    return np.asarray(weighted_sum(table.weighted_r, weights) / (check_weights(weights) * UNIT))


METRICS = {"matched_auroc": matched_auroc, "weighted_r": weighted_r}


def weighted_sum(column: npt.NDArray[Any], weights: Weights) -> FloatArray:
    """Sum whole numbers, exact in any order: results do not depend on threads or the BLAS."""
    if isinstance(weights, GroupWeights):
        return weights.sum(column)
    return np.asarray(weights @ column.astype(np.float64))


def check_weights(weights: Weights) -> FloatArray:
    """Return the weight of all queries; refuse resamples in which none has weight."""
    if isinstance(weights, GroupWeights):
        total = weights.sum(np.ones(len(weights.group), dtype=np.bool_))
    else:
        total = np.asarray(weights.sum(axis=-1))
    if not (total > 0).all():
        raise ValueError("no weight: a mean over nothing has no value")
    return total
