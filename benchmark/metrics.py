"""Metrics: pure functions from scored queries and weights to one number.

Owns every formula of the benchmark and the comparison of two texts. A query without a usable answer
is part of every denominator and right in none. `weights` gives the multiplicity of each query,
shape (..., n_queries), equal within a group; the result has shape (...), so that all resamples of a
bootstrap are one call. No I/O, no chance.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from introspect_bench.benchmark import description_metrics

METRIC_VERSION = "55e0b2d3d6de54d9"
"""Hash of what the metrics give on a frozen fixture; a test fails when they give something else."""

NO_VERDICT = -1
"""Value of `pred_changed` for a query that is unparsed or missing."""

FloatArray = npt.NDArray[np.float64]

_QUOTES: Mapping[str, str] = {
    '"': '"',
    "'": "'",
    "`": "`",
    "\N{LEFT DOUBLE QUOTATION MARK}": "\N{RIGHT DOUBLE QUOTATION MARK}",
    "\N{LEFT SINGLE QUOTATION MARK}": "\N{RIGHT SINGLE QUOTATION MARK}",
    "\N{LEFT-POINTING DOUBLE ANGLE QUOTATION MARK}": (
        "\N{RIGHT-POINTING DOUBLE ANGLE QUOTATION MARK}"
    ),
}
_FULL_STOPS = (".", "\N{IDEOGRAPHIC FULL STOP}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreTable:
    """Scored queries as columns of equal length, at least one row."""

    exact: npt.NDArray[np.bool_]
    """Verdict and content are right, (n_queries,)."""
    content: npt.NDArray[np.bool_]
    """Content is right, whatever the verdict, (n_queries,)."""
    true_changed: npt.NDArray[np.bool_]
    """Whether the target's output changed, (n_queries,)."""
    pred_changed: npt.NDArray[np.int8]
    """The answer's verdict, 0 or 1, or `NO_VERDICT`, (n_queries,)."""
    group: npt.NDArray[np.int64]
    """Number of the query's contrast group, from 0 without gaps, (n_queries,)."""

    def __post_init__(self) -> None:
        """Refuse an empty table and columns of different length."""
        lengths = {len(self.content), len(self.true_changed), len(self.pred_changed)}
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
    """Return the share of queries with the right verdict and the right content.

    Raises:
        ValueError: all weights of a resample are zero.
    """
    return _share(table.exact, weights)


def content_match(table: ScoreTable, weights: FloatArray) -> FloatArray:
    """Return the share of queries with the right content, whatever the verdict.

    Raises:
        ValueError: all weights of a resample are zero.
    """
    return _share(table.content, weights)


def verdict_accuracy(table: ScoreTable, weights: FloatArray) -> FloatArray:
    """Return the share of queries with the right verdict, whatever the content.

    Raises:
        ValueError: all weights of a resample are zero.
    """
    return _share(table.pred_changed == table.true_changed, weights)


def has_changed_macro_f1(table: ScoreTable, weights: FloatArray) -> FloatArray:
    """Return the mean of the F1 scores of `changed` and `unchanged`.

    F1 = 2 TP / (2 TP + FP + FN), van Rijsbergen, Information Retrieval (1979), chapter 7. A query
    without a verdict is a false negative of its true class and a false positive of none. A class
    that is neither true nor answered anywhere has no F1 and is left out of the mean; the other
    class always has one.

    Raises:
        ValueError: all weights of a resample are zero.
    """
    _check(weights)
    total = np.zeros(weights.shape[:-1])
    classes = np.zeros(weights.shape[:-1])
    for verdict in (False, True):
        true = table.true_changed == verdict
        answered = table.pred_changed == int(verdict)
        both = _sum(true & answered, weights)
        either = _sum(true, weights) + _sum(answered, weights)  # 2 TP + FP + FN
        present = either > 0
        total += np.divide(2 * both, either, out=np.zeros_like(total), where=present)
        classes += present
    return np.asarray(total / classes)


def group_consistency(table: ScoreTable, weights: FloatArray) -> FloatArray:
    """Return the share of groups whose queries are all exactly right.

    Only members in the table count. Members weigh the same, so a group's weight is its first's.

    Raises:
        ValueError: all weights of a resample are zero.
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
    "has_changed_macro_f1": has_changed_macro_f1,
    "group_consistency": group_consistency,
    "verdict_accuracy": verdict_accuracy,
    **description_metrics.METRICS,
}
"""Every metric by name; each takes the table of its own kind of task."""


def evaluate(name: str, table: Table) -> float:
    """Return a metric with every query weighing one."""
    return float(METRICS[name](table, np.ones(table.n)))


def normalise_content(text: str) -> str:
    """Return the form of an answer's content that is compared.

    Unicode NFC, white space collapsed, one trailing full stop and one pair of matching quotes
    around the whole removed, in either order. Case is kept: the published protocol
    (arXiv:2511.08579) lower-cases and strips every full stop at both ends, so that `US` equals
    `us`. Nothing here makes a text empty that holds anything but white space.
    """
    text = " ".join(unicodedata.normalize("NFC", text).split())
    without = _drop_full_stop(text)
    unquoted = _drop_quotes(without)
    # A full stop inside the quotes, unless one outside them is gone already.
    return _drop_full_stop(unquoted) if without == text else unquoted


def _drop_full_stop(text: str) -> str:
    if len(text) > 1 and text.endswith(_FULL_STOPS):
        return text[:-1].rstrip()
    return text


def _drop_quotes(text: str) -> str:
    if len(text) < 3 or _QUOTES.get(text[0]) != text[-1]:
        return text
    inside = text[1:-1]
    # Two quoted words side by side are not one quoted text.
    if text[0] in inside or text[-1] in inside or not inside.strip():
        return text
    return inside.strip()


def _share(hits: npt.NDArray[np.bool_], weights: FloatArray) -> FloatArray:
    _check(weights)
    return np.asarray(_sum(hits, weights) / weights.sum(axis=-1))


def _sum(hits: npt.NDArray[np.bool_], weights: FloatArray) -> FloatArray:
    # Sums of whole numbers are exact in any order, so results do not depend on threads or the BLAS.
    return np.asarray(weights @ hits.astype(np.float64))


def _check(weights: FloatArray) -> None:
    if not (weights.sum(axis=-1) > 0).all():
        raise ValueError("no weight: a mean over nothing has no value")
