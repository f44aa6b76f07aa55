"""Metrics: pure functions from scored queries and weights to one number.

Owns the formulas of the tasks about interventions. A query without a usable answer is part of every
denominator and right in none. `weights` gives the multiplicity of each query, shape
(..., n_queries), equal within a group; the result has shape (...), so that all resamples of a
bootstrap are one call. A metric of a class, or of a kind, has no value where none of its queries
has weight: NaN, which is null in results. Every metric raises ValueError if all weights of a
resample are zero. No I/O, no chance.

Queries of the kind `which` ask for one of four parts and not for a verdict: metrics of verdicts and
of classes leave them out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..scoring.correct import normalise_content as normalise_content
from . import descriptions as description_metrics

METRIC_VERSION = "d2f64c8bc7d07e6b"
"""Hash of what the metrics give on a frozen fixture; a test fails when they give something else."""

NO_VERDICT = -1
"""Value of `pred_changed` for a query that is unparsed or missing."""

WHICH = "which"
"""Kind of query whose answer is one of four parts."""
WHICH_CHANCE = 0.25
"""Share of `which` queries that a guess has right."""
BALANCED_KINDS = ("hint", "context")
"""Kinds of which `kind_mean` takes the balanced exact match."""

FloatArray = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreTable:
    """Scored queries as columns of equal length, at least one row."""

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
    group: npt.NDArray[np.int64]
    """Number of the query's contrast group, from 0 without gaps, (n_queries,)."""

    def __post_init__(self) -> None:
        """Refuse an empty table and columns of different length."""
        others = (self.content, self.true_changed, self.pred_changed, self.kind)
        lengths = {len(column) for column in others}
        if lengths != {len(self.exact)} or len(self.group) != len(self.exact):
            raise ValueError(f"columns of different length: {len(self.exact)} and {lengths}")
        if not len(self.exact):
            raise ValueError("no queries: a mean over nothing has no value")
        if not np.bincount(self.group).all():
            raise ValueError("group numbers have gaps")

    @property
    def n(self) -> int:
        """Number of queries."""
        return len(self.exact)

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return int(self.group.max()) + 1


Metric = Callable[[ScoreTable, FloatArray], FloatArray]
"""A formula; see the module's first lines for weights and shapes."""


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
    Training Sets", ICML 1997), with exact match in place of recall. Always one verdict is 0. NaN
    where a class has no weight.
    """
    return _balanced(table, weights, _asks_verdict(table))


def which_accuracy(table: ScoreTable, weights: FloatArray) -> FloatArray:
    """Return the share of `which` queries with the right part; a guess has a quarter."""
    return _share(table.exact, weights, table.kind == WHICH)


def kind_mean(table: ScoreTable, weights: FloatArray) -> FloatArray:
    """Return the mean of three kinds: balanced exact match on hints and contexts, and `which`.

    The accuracy on `which` is rescaled from a guess (0) to all (1) and not clipped, so that no
    answer at all stands at -1/9. NaN where one of the three has no value.
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
    _check(weights)
    asked = _asks_verdict(table)
    total = np.zeros(weights.shape[:-1])
    classes = np.zeros(weights.shape[:-1])
    for verdict in (False, True):
        true = asked & (table.true_changed == verdict)
        answered = asked & (table.pred_changed == int(verdict))
        both = _sum(true & answered, weights)
        either = _sum(true, weights) + _sum(answered, weights)  # 2 TP + FP + FN
        total += _ratio(2 * both, either, otherwise=0.0)
        classes += either > 0
    return _ratio(total, classes)


def group_consistency(table: ScoreTable, weights: FloatArray) -> FloatArray:
    """Return the share of groups whose queries are all exactly right.

    Only members in the table count. Members weigh the same, so a group's weight is its first's.
    """
    first = np.unique(table.group, return_index=True)[1]  # (n_groups,)
    wrong = np.bincount(table.group, weights=~table.exact)  # (n_groups,)
    return _share(wrong == 0, weights[..., first])


class Table(Protocol):
    """What every table of scored queries has."""

    @property
    def group(self) -> npt.NDArray[np.int64]:
        """Number of each query's group, (n_queries,)."""
        ...

    @property
    def n(self) -> int:
        """Number of queries."""
        ...

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        ...


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

    Args:
        name: metric.
        kinds: of the part's queries, at least one.
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
    _check(weights)
    if among is None:
        among = np.ones_like(hits)
    return _ratio(_sum(hits & among, weights), _sum(among, weights))


def _ratio(part: FloatArray, whole: FloatArray, otherwise: float = np.nan) -> FloatArray:
    return np.divide(part, whole, out=np.full_like(part, otherwise), where=whole > 0)


def _sum(hits: Bools, weights: FloatArray) -> FloatArray:
    # Sums of whole numbers are exact in any order, so results do not depend on threads or the BLAS.
    return np.asarray(weights @ hits.astype(np.float64))


def _check(weights: FloatArray) -> None:
    if not (weights.sum(axis=-1) > 0).all():
        raise ValueError("no weight: a mean over nothing has no value")
