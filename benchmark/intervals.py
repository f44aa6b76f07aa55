"""Bootstrap intervals, clustered by contrast group.

Owns resampling. Groups are drawn, never single queries: members of a group share text and are not
independent (the case for clustering: Miller, "Adding Error Bars to Evals", arXiv:2411.00640). All
functions take a Generator and are pure in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from introspect_bench.benchmark.metrics import METRICS, FloatArray, ScoreTable

N_RESAMPLES = 2000
"""Resamples of a bootstrap."""
LEVEL = 0.95
"""Coverage of an interval."""

_CHUNK = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How much one run is above another on the same queries."""

    value: float
    """Metric of the first run minus metric of the second."""
    interval_95: tuple[float, float]
    """Ends of the interval of that difference."""


def bootstrap(
    table: ScoreTable,
    names: Sequence[str],
    *,
    rng: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
) -> dict[str, tuple[float, float]] | None:
    """Return percentile intervals of metrics, all from the same resamples.

    Percentile interval: Efron and Tibshirani, An Introduction to the Bootstrap (1993), 13.3.

    Args:
        table: scored queries.
        names: metrics.
        rng: draws the groups.
        n_resamples: how often.

    Returns:
        Lower and upper end by metric, or None for fewer than two groups, which have no spread.
    """
    if table.n_groups < 2:
        return None
    parts: dict[str, list[FloatArray]] = {name: [] for name in names}
    for weights in _weights(table, n_resamples, rng):
        for name in names:
            parts[name].append(METRICS[name].function(table, weights))
    return {name: _ends(np.concatenate(values)) for name, values in parts.items()}


def paired_difference(
    first: ScoreTable,
    second: ScoreTable,
    name: str,
    *,
    rng: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
) -> Difference:
    """Return the difference of a metric between two runs that answered the same queries in order.

    Both runs get the same resamples, so that what makes a query hard for both cancels.

    Raises:
        ValueError: the tables are not about the same queries, or there are fewer than two groups.
    """
    same = np.array_equal(first.group, second.group)
    if not same or not np.array_equal(first.true_changed, second.true_changed):
        raise ValueError("the two tables are not about the same queries")
    if first.n_groups < 2:
        raise ValueError("one group has no spread to measure")
    function = METRICS[name].function
    ones = np.ones(first.n)
    draws = np.concatenate(
        [
            function(first, weights) - function(second, weights)
            for weights in _weights(first, n_resamples, rng)
        ]
    )
    value = float(function(first, ones) - function(second, ones))
    return Difference(value=value, interval_95=_ends(draws))


def _weights(table: ScoreTable, n_resamples: int, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Yield weights of the queries, (at most _CHUNK, n_queries), `n_resamples` rows in all."""
    n_groups = table.n_groups
    shares = np.full(n_groups, 1 / n_groups)
    for start in range(0, n_resamples, _CHUNK):
        size = min(_CHUNK, n_resamples - start)
        counts = rng.multinomial(n_groups, shares, size=size)  # (size, n_groups)
        yield counts[:, table.group].astype(np.float64)


def _ends(values: FloatArray) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
