"""Explainers compared on the same queries: differences, tests, corrections, power.

Groups are resampled and swapped as wholes, as in `bootstrap`; chance comes from a Generator. A
*difference* is the first table's metric minus the second's. A *unit* is what is right or wrong as a
whole: a query, or a group for group consistency.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from .bootstrap import LEVEL, N_RESAMPLES, difference
from .bootstrap import check_same_queries as check_same_queries
from .bootstrap import resample as resample
from .verdicts import METRICS, SHARES, FloatArray, GroupWeights, Table, groups_right

N_PERMUTATIONS = 9999  # Unless there are fewer in all; the least p is 1 / 10,000
POWER = 0.8  # Chance of finding a difference of the minimum detectable size
CORRECTIONS = ("holm", "bh")
NOISE = 1e-12  # Spread of resampled values that is rounding only

Units = npt.NDArray[np.bool_]

_BATCH = 500


def _queries_right(share: Callable[[Any], tuple[Units, Units]], table: Any) -> Units:
    hits, among = share(table)
    return hits[among]


# Metrics that are shares of units that are right, with which units are, (n_units,)
RIGHT: Mapping[str, Callable[[Any], Units]] = {
    **{name: partial(_queries_right, share) for name, share in SHARES.items()},
    "group_consistency": groups_right,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class McNemar:
    """Units that one of two explainers has right, and how unlikely so uneven a share is."""

    first_only: int  # Units that only the first has right
    second_only: int  # Units that only the second has right
    p: float  # Exact two-sided p; 1 if no unit tells the two apart


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A metric of one explainer minus that of another, on the same queries."""

    value: float | None  # The difference; None if one of the two has no value
    # Percentile interval over groups; None without a spread (one group) or value
    interval_95: tuple[float, float] | None
    p_permutation: float | None  # Two-sided p of swapping whole groups; None without a value
    mcnemar: McNemar | None  # The exact test by unit; None if the metric is no share of right units
    minimum_detectable: float | None  # With 80 % power; None if the difference never moves
    n: int  # Queries
    n_groups: int  # Groups

    @property
    def p(self) -> float | None:
        """P of the test for this metric: McNemar's for right or wrong, else the permutation's."""
        return self.p_permutation if self.mcnemar is None else self.mcnemar.p


def compare(
    first: Table,
    second: Table,
    name: str,
    *,
    rng: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
    n_permutations: int = N_PERMUTATIONS,
) -> Difference:
    """Compare two explainers by one metric, on the same queries in the same order."""
    value, moved, interval = difference(first, second, name, rng=rng, n_resamples=n_resamples)
    p, exact = None, None
    if value is not None:
        p = permutation_test(first, second, name, rng=rng, n_permutations=n_permutations)
        if name in RIGHT:
            exact = mcnemar(RIGHT[name](first), RIGHT[name](second))
    return Difference(
        value=value,
        interval_95=interval,
        p_permutation=p,
        mcnemar=exact,
        minimum_detectable=None if interval is None else minimum_detectable(moved),
        n=first.n,
        n_groups=first.n_groups,
    )


def mcnemar(first: Units, second: Units) -> McNemar:
    """Return the exact McNemar test of paired right and wrong, both (n_units,).

    Units that only one has right are coin tosses if the two are equally good: a two-sided binomial
    test with p = 1/2 (McNemar, Psychometrika 12 (1947), 153; exact form: Fagerland, Lydersen and
    Laake, BMC Medical Research Methodology 13 (2013), 91). It takes units as independent, which
    queries of a group are not, so p is too small; where the permutation test disagrees, believe
    that one.
    """
    if first.shape != second.shape or not first.size:
        raise ValueError(f"units of shape {first.shape} and {second.shape}")
    first_only, second_only = int((first & ~second).sum()), int((second & ~first).sum())
    apart = first_only + second_only
    if not apart:
        return McNemar(first_only=0, second_only=0, p=1.0)
    from scipy.stats import binomtest  # takes seconds to import, as all of scipy.stats

    p = float(binomtest(first_only, apart, 0.5).pvalue)
    return McNemar(first_only=first_only, second_only=second_only, p=p)


def permutation_test(
    first: Table,
    second: Table,
    name: str,
    *,
    rng: np.random.Generator,
    n_permutations: int = N_PERMUTATIONS,
) -> float:
    """Return the two-sided p, in (0, 1], of swapping the answers of whole groups.

    Null: within each group it is a coin toss who gave which answers. All 2 ** n_groups swaps are
    taken if they are no more than `n_permutations`; else as many are drawn, and the observed one
    counts as one more (Phipson and Smyth, Statistical Applications in Genetics and Molecular
    Biology 9 (2010), 39). A metric is recomputed on every swap, so it need not be a mean.
    """
    check_same_queries([first, second])
    n = first.n_groups
    if n < 2:
        return 1.0
    from scipy import stats

    both = _joined(first, second)
    metric = METRICS[name]

    def weights(chosen: npt.NDArray[np.int64]) -> GroupWeights:
        """Weights of the joined table's queries if these groups answer."""
        groups = np.zeros((*chosen.shape[:-1], 2 * n))
        np.put_along_axis(groups, chosen, 1, axis=-1)
        return GroupWeights(groups, both.group)

    def difference(
        one: npt.NDArray[np.int64], other: npt.NDArray[np.int64], axis: int
    ) -> FloatArray:
        assert axis == -1
        return metric(both, weights(one)) - metric(both, weights(other))

    found = stats.permutation_test(
        (np.arange(n), np.arange(n, 2 * n)),
        difference,
        permutation_type="samples",
        vectorized=True,
        n_resamples=n_permutations,
        batch=_BATCH,
        axis=-1,
        rng=rng,
    )
    return float(found.pvalue)


def minimum_detectable(moved: FloatArray) -> float | None:
    """Return the smallest true difference that a test at this n finds with 80 % power.

    (z(0.975) + z(0.8)) x standard error = 2.80 standard errors, for a two-sided test at 5 % (Bloom,
    "Minimum Detectable Effects", Evaluation Review 19 (1995), 547; Miller, arXiv:2411.00640,
    section 5). The standard error is that of the bootstrap, over groups: `moved` is (n_resamples,),
    NaN where there is no value. None if the difference never moves.
    """
    moved = moved[np.isfinite(moved)]
    if np.ptp(moved) <= NOISE:
        return None
    z = NormalDist().inv_cdf(1 - (1 - LEVEL) / 2) + NormalDist().inv_cdf(POWER)
    return float(z * moved.std(ddof=1))


def adjust(ps: Sequence[float], correction: str) -> list[float]:
    """Return p values corrected for their number, in their order.

    `holm` bounds the chance of any false finding (Holm, Scandinavian Journal of Statistics 6
    (1979), 65), `bh` the expected share of false findings (Benjamini and Hochberg, Journal of the
    Royal Statistical Society B 57 (1995), 289).
    """
    values = np.asarray(ps, dtype=np.float64)
    if not ((values >= 0) & (values <= 1)).all():  # NaN fails too
        raise ValueError("a p value is not in 0 to 1")
    if correction not in CORRECTIONS:
        raise ValueError(f"unknown correction {correction!r}; choose from {CORRECTIONS}")
    if not values.size:
        return []
    if correction == "bh":
        from scipy.stats import false_discovery_control

        return [float(p) for p in false_discovery_control(values, method="bh")]
    order = np.argsort(values, kind="stable")
    scaled = values[order] * np.arange(len(values), 0, -1)  # the least times m, the next m - 1 ...
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return [float(p) for p in adjusted]


def _joined(first: Table, second: Table) -> Any:
    """Put one table's queries after the other's, as groups of their own."""
    kind: Any = type(first)
    columns = {
        field.name: np.concatenate([getattr(first, field.name), getattr(second, field.name)])
        for field in fields(kind)
    }
    columns["group"][first.n :] += first.n_groups
    return kind(**columns)
