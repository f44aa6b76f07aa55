"""Bootstrap intervals, clustered by contrast group.

Owns resampling. Groups are drawn, never single queries: members of a group share text and are not
independent (the case for clustering: Miller, "Adding Error Bars to Evals", arXiv:2411.00640). All
functions take a Generator and are pure in it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from .. import files
from .verdicts import METRICS, FloatArray, Table, evaluate

N_RESAMPLES = 2000
"""Resamples of a bootstrap."""
LEVEL = 0.95
"""Coverage of an interval."""
MAX_LACKING = 0.01
"""Greatest share of resamples on which a metric may have no value and still have an interval."""

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
        Both ends are NaN where `ends` says so.
    """
    if table.n_groups < 2:
        return None
    found = resample([table], names, rng=rng, n_resamples=n_resamples)
    return {name: ends(values[0]) for name, values in found.items()}


def resample(
    tables: Sequence[Table],
    names: Sequence[str],
    *,
    rng: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
) -> dict[str, FloatArray]:
    """Return metrics of several tables on the same resamples of their groups.

    All tables get the same weights in a resample, so that differences between them are paired.

    Args:
        tables: scored queries; the same queries in the same order.
        names: metrics.
        rng: draws the groups.
        n_resamples: how often.

    Returns:
        Values by metric, (n_tables, n_resamples); NaN where a metric has no value on a resample.

    Raises:
        ValueError: there is no table, or two do not hold the same queries.
    """
    check_same_queries(tables)
    parts: dict[str, list[FloatArray]] = {name: [] for name in names}
    for weights in _weights(tables[0], n_resamples, rng):
        for name in names:
            parts[name].append(np.stack([METRICS[name](table, weights) for table in tables]))
    return {name: np.concatenate(values, axis=1) for name, values in parts.items()}


def difference(
    first: Table,
    second: Table,
    name: str,
    *,
    rng: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
) -> tuple[float | None, FloatArray, tuple[float, float] | None]:
    """Return a metric of one table minus that of another, on all queries and on resamples.

    Args:
        first: scored queries of one explainer.
        second: the same queries in the same order, of the other.
        name: metric.
        rng: draws the groups.
        n_resamples: how often.

    Returns:
        The difference, None if one of the two has no value; the same by resample, (n_resamples,),
        or (0,) for a single group; the percentile interval, None without a spread or value.

    Raises:
        ValueError: the tables do not hold the same queries.
    """
    check_same_queries([first, second])
    value = evaluate(name, first) - evaluate(name, second)
    moved = np.empty(0)
    if first.n_groups > 1:
        values = resample([first, second], [name], rng=rng, n_resamples=n_resamples)[name]
        moved = values[0] - values[1]
    known = math.isfinite(value)
    interval = ends(moved) if known and moved.size else (math.nan, math.nan)
    spread = all(map(math.isfinite, interval))
    return value if known else None, moved, interval if spread else None


def check_same_queries(tables: Sequence[Table]) -> None:
    """Refuse tables that cannot hold the same queries in the same order.

    Compared is what a table knows of its queries whatever the answers: number, groups, and the
    truth's columns.

    Raises:
        ValueError: there is none, or they differ in kind, number, groups or truth.
    """
    if not tables:
        raise ValueError("no table to resample")
    first = tables[0]
    for table in tables:
        if type(table) is not type(first):
            raise ValueError("tables of different kinds of tasks")
        for column in ("group", "true_changed", "kind", "of_reference"):
            # the kind is the same, so both have the column or neither has
            if hasattr(first, column) and not np.array_equal(
                getattr(first, column), getattr(table, column)
            ):
                raise ValueError(f"tables hold different queries: column {column} differs")


def ends(values: FloatArray) -> tuple[float, float]:
    """Return both ends of the percentile interval of resampled values, (n_resamples,).

    A metric of a class has no value, NaN, on a resample that holds none of its queries. Up to
    `MAX_LACKING` of the resamples may lack one and are left out, which cannot move an end by more
    than half a per cent of the distribution; with more the interval would be that of samples that
    happen to hold the class, so both ends are NaN.
    """
    known = values[np.isfinite(values)]
    if len(values) - len(known) > MAX_LACKING * len(values):
        return math.nan, math.nan
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _weights(table: Table, n_resamples: int, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Yield weights of the queries, (at most _CHUNK, n_queries), `n_resamples` rows in all."""
    state = files.canonical_json(rng.bit_generator.state)
    counts, after = _counts(state, table.n_groups, n_resamples)
    rng.bit_generator.state = json.loads(after)
    for start in range(0, n_resamples, _CHUNK):
        yield counts[start : start + _CHUNK, table.group].astype(np.float64)


@lru_cache(maxsize=64)
def _counts(state: str, n_groups: int, n_resamples: int) -> tuple[npt.NDArray[np.int32], str]:
    """Draw how often each group is in each resample.

    Scoring begins at one seed for every part of every run, so the same draws are asked for again
    and again; they are a third of its time.

    Args:
        state: of a PCG64 generator (numpy's default), as JSON.
        n_groups: groups to draw from, and groups of a resample.
        n_resamples: how often.

    Returns:
        (n_resamples, n_groups), and the generator's state afterwards, as JSON.
    """
    bits = np.random.PCG64()
    bits.state = json.loads(state)
    shares = np.full(n_groups, 1 / n_groups)
    counts = np.random.Generator(bits).multinomial(n_groups, shares, size=n_resamples)
    return counts.astype(np.int32), files.canonical_json(bits.state)
