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

from introspect_bench.benchmark.metrics import descriptions as description_metrics
from introspect_bench.benchmark.metrics.descriptions import FloatArray as FloatArray
from introspect_bench.benchmark.metrics.descriptions import Table as Table
from introspect_bench.benchmark.metrics.descriptions import check_weights, weighted_sum
from introspect_bench.benchmark.scoring.correct import normalise_content as normalise_content

METRIC_VERSION = "d2f64c8bc7d07e6b"
"""Hash of what the metrics give on a frozen fixture; a test fails when they give something else."""

NO_VERDICT = -1
"""Value of `pred_changed` for a query that is unparsed or missing."""

WHICH = "which"
WHICH_CHANCE = 0.25
"""Share of `which` queries that a guess has right."""
BALANCED_KINDS = ("hint", "context")
"""Kinds of which `kind_mean` takes the balanced exact match."""

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreTable(Table):
    """Scored queries about interventions."""

    exact: npt.NDArray[np.bool_]
    """Verdict and content, or the part, are right, (n_queries,)."""
    content: npt.NDArray[np.bool_]
    """Content, or the part, is right, whatever the verdict, (n_queries,)."""
    true_changed: npt.NDArray[np.bool_]
    """Whether the target's output changed, (n_queries,)."""
    pred_changed: npt.NDArray[np.int8]
    """The answer's verdict, 0 or 1, or `NO_VERDICT`, (n_queries,)."""
    kind: npt.NDArray[np.str_]
    """Kind of the query, (n_queries,)."""


def exact_match(table: ScoreTable, weights: FloatArray) -> FloatArray:
    """Return the share of queries that are right, in verdict and content or in the part."""
    return _share(table.exact, weights)


def content_match(table: ScoreTable, weights: FloatArray) -> FloatArray:
    """Return the share of queries with the right content, whatever the verdict."""
    return _share(table.content, weights)


def exact_match_changed(table: ScoreTable, weights: FloatArray) -> FloatArray:
    """Return the exact match on queries whose truth is `changed`."""
    return _share(table.exact, weights, _asks_verdict(table) & table.true_changed)


def exact_match_unchanged(table: ScoreTable, weights: FloatArray) -> FloatArray:
    """Return the exact match on queries whose truth is `unchanged`."""
    return _share(table.exact, weights, _asks_verdict(table) & ~table.true_changed)


def content_match_changed(table: ScoreTable, weights: FloatArray) -> FloatArray:
    """Return the share of right contents on queries whose truth is `changed`."""
    return _share(table.content, weights, _asks_verdict(table) & table.true_changed)


def balanced_exact_match(table: ScoreTable, weights: FloatArray) -> FloatArray:
    """Return the geometric mean of the exact match on `changed` and on `unchanged` queries.

    The G-mean of imbalanced classification (Kubat and Matwin, "Addressing the Curse of Imbalanced
    Training Sets", ICML 1997), with exact match in place of recall; 0 for always one verdict.
    """
    return _balanced(table, weights, _asks_verdict(table))


def which_accuracy(table: ScoreTable, weights: FloatArray) -> FloatArray:
    """Return the share of `which` queries with the right part; a guess has a quarter."""
    return _share(table.exact, weights, table.kind == WHICH)


def kind_mean(table: ScoreTable, weights: FloatArray) -> FloatArray:
    """Return the mean of balanced exact match on hints and on contexts, and rescaled `which`.

    `which` goes from a guess (0) to all (1) and is not clipped: no answer at all stands at -1/9.
    """
    parts = [_balanced(table, weights, table.kind == kind) for kind in BALANCED_KINDS]
    parts.append((which_accuracy(table, weights) - WHICH_CHANCE) / (1 - WHICH_CHANCE))
    return np.asarray(np.mean(parts, axis=0))


def verdict_accuracy(table: ScoreTable, weights: FloatArray) -> FloatArray:
    """Return the share of queries with the right verdict, whatever the content."""
    return _share(table.pred_changed == table.true_changed, weights, _asks_verdict(table))


def has_changed_macro_f1(table: ScoreTable, weights: FloatArray) -> FloatArray:
    """Return the mean of the F1 scores of `changed` and `unchanged`.

    F1 = 2 TP / (2 TP + FP + FN), van Rijsbergen, Information Retrieval (1979), chapter 7. A query
    without a verdict is a false negative of its true class and a false positive of none. A class
    that is neither true nor answered anywhere has no F1 and is left out of the mean.
    """
    check_weights(weights)
    asked = _asks_verdict(table)
    total = np.zeros(weights.shape[:-1])
    classes = np.zeros(weights.shape[:-1])
    for verdict in (False, True):
        true = asked & (table.true_changed == verdict)
        answered = asked & (table.pred_changed == int(verdict))
        both = weighted_sum(true & answered, weights)
        either = weighted_sum(true, weights) + weighted_sum(answered, weights)  # 2 TP + FP + FN
        total += _ratio(2 * both, either, otherwise=0.0)
        classes += either > 0
    return _ratio(total, classes)


def group_consistency(table: ScoreTable, weights: FloatArray) -> FloatArray:
    """Return the share of groups whose queries in the table are all exactly right."""
    first = np.unique(table.group, return_index=True)[1]  # (n_groups,)
    wrong = np.bincount(table.group, weights=~table.exact)  # (n_groups,)
    return _share(wrong == 0, weights[..., first])


METRICS: Mapping[str, Callable[[Any, FloatArray], FloatArray]] = {
    "exact_match": exact_match,
    "content_match": content_match,
    "balanced_exact_match": balanced_exact_match,
    "exact_match_changed": exact_match_changed,
    "exact_match_unchanged": exact_match_unchanged,
    "content_match_changed": content_match_changed,
    "which_accuracy": which_accuracy,
    "kind_mean": kind_mean,
    "has_changed_macro_f1": has_changed_macro_f1,
    "group_consistency": group_consistency,
    "verdict_accuracy": verdict_accuracy,
    **description_metrics.METRICS,
}
"""Every metric by name; each takes the table of its own kind of task."""


def evaluate(name: str, table: Table) -> float:
    """Return a metric with every query weighing one."""
    return float(METRICS[name](table, np.ones(table.n)))


def of_part(name: str, kinds: Iterable[str]) -> str:
    """Return the metric that stands for another one on a part of its queries.

    The mean over kinds does not exist within one: balanced exact match, or the accuracy on `which`,
    stands for it there.
    """
    which = {kind == WHICH for kind in kinds}
    if name != "kind_mean" or len(which) > 1:
        return name
    return "which_accuracy" if which == {True} else "balanced_exact_match"


def _asks_verdict(table: ScoreTable) -> Bools:
    return np.asarray(table.kind != WHICH)


def _balanced(table: ScoreTable, weights: FloatArray, among: Bools) -> FloatArray:
    classes = [
        _share(table.exact, weights, among & (table.true_changed == verdict))
        for verdict in (False, True)
    ]
    return np.asarray(np.sqrt(classes[0] * classes[1]))


def _share(hits: Bools, weights: FloatArray, among: Bools | None = None) -> FloatArray:
    """Return the share of hits, of all or of some queries; NaN where those have no weight."""
    check_weights(weights)
    if among is None:
        among = np.ones_like(hits)
    return _ratio(weighted_sum(hits & among, weights), weighted_sum(among, weights))


def _ratio(part: FloatArray, whole: FloatArray, otherwise: float = np.nan) -> FloatArray:
    return np.divide(part, whole, out=np.full_like(part, otherwise), where=whole > 0)
