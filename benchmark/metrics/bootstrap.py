"""Bootstrap intervals, clustered by contrast group; pure in their Generator.

Groups are drawn, never single queries: members of a group share text and are not independent (the
case for clustering: Miller, "Adding Error Bars to Evals", arXiv:2411.00640).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import files
from .verdicts import METRICS, FloatArray, Table, evaluate

N_RESAMPLES = 2000
LEVEL = 0.95  # Coverage of an interval
# Greatest share of resamples without a value of a metric that still has an interval
MAX_LACKING = 0.01

_CHUNK = 250


def bootstrap(
    table: Table, names: Sequence[str], *, rng: np.random.Generator, n_resamples: int = N_RESAMPLES
) -> dict[str, tuple[float, float]] | None:
    """Return percentile intervals by metric, all from the same resamples; see `ends` for NaN.

    Efron and Tibshirani, An Introduction to the Bootstrap (1993), 13.3. None for fewer than two
    groups, which have no spread.
    """
    if table.n_groups < 2:
        return None
    found = resample([table], names, rng=rng, n_resamples=n_resamples)
    return {name: ends(values[0]) for name, values in found.items()}


def estimates(table: Table, names: Sequence[str], *, seed: int) -> dict[str, dict[str, Any]]:
    """Return `value` and `interval_95` by metric, null where there is none; seeded afresh."""
    intervals = bootstrap(table, names, rng=np.random.default_rng(seed)) or {}
    found = {}
    for name in names:
        value, interval = evaluate(name, table), intervals.get(name, (math.nan, math.nan))
        found[name] = {
            "value": value if math.isfinite(value) else None,
            "interval_95": list(interval) if all(map(math.isfinite, interval)) else None,
        }
    return found


def resample(
    tables: Sequence[Table],
    names: Sequence[str],
    *,
    rng: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
) -> dict[str, FloatArray]:
    """Return metrics of tables of the same queries on the same resamples, (n_tables, n_resamples).

    All tables get the same weights in a resample, so that differences between them are paired. NaN
    where a metric has no value.
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
    """Return a metric of one table minus that of another: value, resampled values, interval.

    The value is None if one of the two has none; resampled values are (n_resamples,), or (0,) for a
    single group; the percentile interval is None without a spread or value.
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
    """Refuse tables that differ in kind, number of queries, groups or truth."""
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

    A metric of a class has no value, NaN, on a resample without its queries. Up to `MAX_LACKING` of
    the resamples may lack one and are left out, which moves an end by at most half a per cent of
    the distribution; with more, both ends are NaN.
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
    """Counts (n_resamples, n_groups), and the PCG64 state afterwards; one seed is used often."""
    bits = np.random.PCG64()
    bits.state = json.loads(state)
    shares = np.full(n_groups, 1 / n_groups)
    counts = np.random.Generator(bits).multinomial(n_groups, shares, size=n_resamples)
    return counts.astype(np.int32), files.canonical_json(bits.state)
