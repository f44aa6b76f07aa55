"""Bootstrap intervals, clustered by contrast group, and differences on parts of queries.

Groups are drawn, never single queries: members of a group share text and are not independent (the
case for clustering: Miller, "Adding Error Bars to Evals", arXiv:2411.00640). Chance comes from a
Generator alone. Parts of queries are many, so there are no tests on them.
"""

from __future__ import annotations

import itertools
import json
import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import files
from ..records import Described, Query, Scored
from .verdicts import METRICS, FloatArray, GroupWeights, Table, evaluate, of_part

N_RESAMPLES = 2000
LEVEL = 0.95  # Coverage of an interval
MAX_LACKING = 0.01  # Most resamples without a value of a metric that has an interval


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
    group, state = tables[0].group, files.canonical_json(rng.bit_generator.state)
    counts, after = _counts(state, tables[0].n_groups, n_resamples)
    rng.bit_generator.state = json.loads(after)
    trial = GroupWeights(np.ones((1, tables[0].n_groups)), group)
    for name, table in itertools.product(names, tables):
        METRICS[name](table, trial)
    weights = GroupWeights(counts, group, trial)
    return {name: np.stack([METRICS[name](table, weights) for table in tables]) for name in names}


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
    first, *others = tables
    for table in others:
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


@lru_cache(maxsize=64)
def _counts(
    state: str, n_groups: int, n_resamples: int
) -> tuple[npt.NDArray[np.unsignedinteger[Any]], str]:
    """Counts (n_resamples, n_groups), and the PCG64 state afterwards; one seed is used often."""
    bits = np.random.PCG64()
    bits.state = json.loads(state)
    shares = np.full(n_groups, 1 / n_groups)
    counts = np.random.Generator(bits).multinomial(n_groups, shares, size=n_resamples)
    return counts.astype(np.min_scalar_type(counts.max())), files.canonical_json(bits.state)


MARGIN_ENDS = (0.1, 0.3)
MARGINS = ("below 0.1", "from 0.1 to 0.3", "from 0.3")  # Each holds its lower end, in logits
NEAR = 0.5  # Cosine with a training feature from which a feature counts as near


@dataclass(frozen=True, slots=True, kw_only=True)
class PartDifference:
    """A metric of one explainer minus that of another, on a part of their queries."""

    value: float | None  # The difference; None if one of the two has no value
    # Percentile interval over groups; None without a spread (one group) or value
    interval_95: tuple[float, float] | None
    n: int  # Queries of the part


def layers_of(query: Query) -> str:
    """Return a layer or block of layers as text that sorts by its first layer, or nothing."""
    if "layers" in query.fields:
        first, last = query.fields["layers"]
        return f"{first:02d}-{last:02d}"
    return f"{query.fields['layer']:02d}" if "layer" in query.fields else ""


def margin_of(one: Scored) -> str:
    """Return the part that the margin of a label is in, or nothing where labels have none."""
    margin = one.truth.margin
    return "" if margin is None else MARGINS[bisect_right(MARGIN_ENDS, margin)]


def distance_of(one: Described) -> str:
    """Return whether a feature is near to one of the training split, or nothing if imported."""
    if not one.truth.predicate:
        return ""
    return "near" if one.truth.nearest_train >= NEAR else "far"


# What queries are told apart by; a query without a name is in no part
PARTS: Mapping[str, Callable[[Query], str]] = {
    "layers": layers_of,
    "kind": lambda query: query.kind,
}


def differences(
    first: Table,
    second: Table,
    queries: Sequence[Query],
    name: str,
    rng: Callable[[], np.random.Generator],
) -> dict[str, dict[str, PartDifference]]:
    """Compare two explainers by one metric on each part of their queries: by `PARTS`, then by part.

    On a part another metric may stand for the named one (`of_part`). `rng` is called once a part;
    the same state each time makes parts independent of their order. Nothing where all are one part.
    """
    check_same_queries([first, second])
    if len(queries) != first.n:
        raise ValueError(f"{len(queries)} queries for a table of {first.n}")
    found = {}
    for title, part_of in PARTS.items():
        names = np.array([part_of(query) for query in queries])
        parts = sorted(set(names.tolist()) - {""})
        if len(parts) > 1:
            found[title] = {
                part: _on(take(first, names == part), take(second, names == part), name, rng())
                for part in parts
            }
    return found


def take(table: Table, chosen: npt.NDArray[np.bool_] | Sequence[int]) -> Table:
    """Return the chosen rows, by mask or place, of a table, with its groups numbered anew."""
    kind, chosen = type(table), np.asarray(chosen)
    columns: Any = {column.name: getattr(table, column.name)[chosen] for column in fields(kind)}
    columns["group"] = np.unique(columns["group"], return_inverse=True)[1].astype(np.int64)
    return kind(**columns)


def _on(first: Table, second: Table, name: str, rng: np.random.Generator) -> PartDifference:
    metric = of_part(name, getattr(first, "kind", ()))
    value, _, interval = difference(first, second, metric, rng=rng)
    return PartDifference(value=value, interval_95=interval, n=first.n)
