"""Bootstrap intervals, clustered by contrast group.

Owns resampling. Groups are drawn, never single queries: members of a group share text and are not
independent (the case for clustering: Miller, "Adding Error Bars to Evals", arXiv:2411.00640). All
functions take a Generator and are pure in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from introspect_bench.benchmark.metrics import METRICS, FloatArray, Table

N_RESAMPLES = 2000
"""Resamples of a bootstrap."""
LEVEL = 0.95
"""Coverage of an interval."""

_CHUNK = 250


def bootstrap(
    table: Table,
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
        Both ends are NaN where a metric has no value on some resample.
    """
    if table.n_groups < 2:
        return None
    parts: dict[str, list[FloatArray]] = {name: [] for name in names}
    for weights in _weights(table, n_resamples, rng):
        for name in names:
            parts[name].append(METRICS[name](table, weights))
    return {name: _ends(np.concatenate(values)) for name, values in parts.items()}


def _weights(table: Table, n_resamples: int, rng: np.random.Generator) -> Iterator[FloatArray]:
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
