"""Metrics of the tasks about interventions: from scored queries and weights to one number.

A query without a usable answer is part of every denominator and right in none. `weights` gives the
multiplicity of each query, (..., n_queries), equal within a group; the result has shape (...), so
that all resamples of a bootstrap are one call. A metric of a class, or of a kind, is NaN (null in
results) where none of its queries has weight; ValueError if all weights are zero. Metrics of
verdicts and classes leave out queries of the kind `which`, which ask for one of four parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .._version import METRIC_VERSION as METRIC_VERSION
from ..scoring.correct import normalise_content as normalise_content
from . import descriptions as description_metrics
from .descriptions import FloatArray as FloatArray
from .descriptions import GroupWeights as GroupWeights
from .descriptions import Table as Table
from .descriptions import Weights, check_weights, weighted_sum

NO_VERDICT = -1  # Value of `pred_changed` for a query that is unparsed or missing

WHICH = "which"
WHICH_CHANCE = 0.25  # Share of `which` queries that a guess has right
BALANCED_KINDS = ("hint", "context")  # Kinds of which `kind_mean` takes the balanced exact match

Bools = npt.NDArray[np.bool_]
Metric = Callable[[Any, Weights], FloatArray]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreTable(Table):
    """Scored queries about interventions."""

    exact: npt.NDArray[np.bool_]  # Verdict and content, or the part, are right, (n_queries,)
    content: npt.NDArray[np.bool_]  # Content, or the part, is right, whatever the verdict
    true_changed: npt.NDArray[np.bool_]  # Whether the target's output changed, (n_queries,)
    pred_changed: npt.NDArray[np.int8]  # The verdict, 0 or 1, or `NO_VERDICT`, (n_queries,)
    kind: npt.NDArray[np.str_]  # Kind of the query, (n_queries,)


def balanced_exact_match(table: ScoreTable, weights: Weights) -> FloatArray:
    """Return the geometric mean of the exact match on `changed` and on `unchanged` queries.

    The G-mean of imbalanced classification (Kubat and Matwin, "Addressing the Curse of Imbalanced
    Training Sets", ICML 1997), with exact match in place of recall; 0 for always one verdict.
    """
    return _balanced(table, weights, _asks_verdict(table))


def kind_mean(table: ScoreTable, weights: Weights) -> FloatArray:
    """Return the mean of balanced exact match on hints and on contexts, and rescaled `which`.

    `which` goes from a guess (0) to all (1) and is not clipped: no answer at all stands at -1/9.
    """
    parts = [_balanced(table, weights, table.kind == kind) for kind in BALANCED_KINDS]
    parts.append((METRICS["which_accuracy"](table, weights) - WHICH_CHANCE) / (1 - WHICH_CHANCE))
    return np.asarray(np.mean(parts, axis=0))


def has_changed_macro_f1(table: ScoreTable, weights: Weights) -> FloatArray:
    """Return the mean of the F1 scores of `changed` and `unchanged`.

    F1 = 2 TP / (2 TP + FP + FN), van Rijsbergen, Information Retrieval (1979), chapter 7. A query
    without a verdict is a false negative of its true class and a false positive of none. A class
    that is neither true nor answered anywhere has no F1 and is left out of the mean.
    """
    total, classes = (np.zeros_like(check_weights(weights)) for _ in range(2))
    asked = _asks_verdict(table)
    for verdict in (False, True):
        true = asked & (table.true_changed == verdict)
        answered = asked & (table.pred_changed == int(verdict))
        both = weighted_sum(true & answered, weights)
        either = weighted_sum(true, weights) + weighted_sum(answered, weights)  # 2 TP + FP + FN
        total += _ratio(2 * both, either, otherwise=0.0)
        classes += either > 0
    return _ratio(total, classes)


def groups_right(table: ScoreTable) -> Bools:
    """Return whether all queries of a group in the table are exactly right, (n_groups,)."""
    return np.asarray(np.bincount(table.group, weights=~table.exact) == 0)


def _group_consistency(table: ScoreTable, weights: Weights) -> FloatArray:
    """Share of groups that are right; one with a single query has nothing to be consistent with."""
    starts = np.unique(table.group, return_index=True)[1]  # (n_groups,)
    first = np.zeros(table.n, dtype=np.bool_)
    first[starts[np.bincount(table.group) > 1]] = True
    return _share(groups_right(table)[table.group], first, weights)


# Metrics that are shares of queries: which are right, and among which, both (n_queries,)
SHARES: Mapping[str, Callable[[Any], tuple[Bools, Bools]]] = {
    "exact_match": lambda table: (table.exact, np.ones_like(table.exact)),
    "content_match": lambda table: (table.content, np.ones_like(table.exact)),
    "exact_match_changed": lambda table: (table.exact, _asks_verdict(table) & table.true_changed),
    "exact_match_unchanged": lambda table: (
        table.exact,
        _asks_verdict(table) & ~table.true_changed,
    ),
    "content_match_changed": lambda table: (
        table.content,
        _asks_verdict(table) & table.true_changed,
    ),
    "which_accuracy": lambda table: (table.exact, table.kind == WHICH),
    "verdict_accuracy": lambda table: (
        table.pred_changed == table.true_changed,
        _asks_verdict(table),
    ),
}


def _metric(share: Callable[[Any], tuple[Bools, Bools]]) -> Metric:
    return lambda table, weights: _share(*share(table), weights)


# Every metric by name; each takes the table of its own kind of task
METRICS: Mapping[str, Metric] = {
    **{name: _metric(share) for name, share in SHARES.items()},
    "balanced_exact_match": balanced_exact_match,
    "kind_mean": kind_mean,
    "has_changed_macro_f1": has_changed_macro_f1,
    "group_consistency": _group_consistency,
    **description_metrics.METRICS,
}


def evaluate(name: str, table: Table) -> float:
    """Return a metric with every query weighing one."""
    return float(METRICS[name](table, np.ones(table.n)))


def of_part(name: str, kinds: Iterable[str]) -> str:
    """Return the metric that stands for `kind_mean`, or the named one, on a part of its queries."""
    which = {kind == WHICH for kind in kinds}
    if name != "kind_mean" or len(which) > 1:
        return name
    return "which_accuracy" if which == {True} else "balanced_exact_match"


def _asks_verdict(table: ScoreTable) -> Bools:
    return np.asarray(table.kind != WHICH)


def _balanced(table: ScoreTable, weights: Weights, among: Bools) -> FloatArray:
    changed, unchanged = (among & side for side in (table.true_changed, ~table.true_changed))
    shares = [_share(table.exact, side, weights) for side in (unchanged, changed)]
    return np.asarray(np.sqrt(shares[0] * shares[1]))


def _share(hits: Bools, among: Bools, weights: Weights) -> FloatArray:
    """Share of hits among some queries; NaN where those have no weight."""
    check_weights(weights)
    return _ratio(weighted_sum(hits & among, weights), weighted_sum(among, weights))


def _ratio(part: FloatArray, whole: FloatArray, otherwise: float = np.nan) -> FloatArray:
    return np.divide(part, whole, out=np.full_like(part, otherwise), where=whole > 0)
