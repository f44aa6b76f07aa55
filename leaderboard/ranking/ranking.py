"""Places on a board: ranks with intervals, and letters for what cannot be told apart. Pure.

Owns every comparison of more than two entries. All of it comes from one paired bootstrap: the same
resamples of the same queries for every entry. Higher is better.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...benchmark.metrics.bootstrap import LEVEL
from ...benchmark.metrics.paired import NOISE, adjust
from ...benchmark.metrics.verdicts import FloatArray

Matrix = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one entry stands among those it was ranked with."""

    rank: int
    """1 and one more for every entry that is better; equal values share a rank."""
    interval_95: tuple[int, int]
    """Ranks the entry may have, both ends included; holds `rank`."""
    letters: tuple[str, ...]
    """Letters, best first; two entries share one if and only if they cannot be told apart."""


def rank_intervals(values: FloatArray, resampled: FloatArray) -> tuple[Place, ...]:
    """Rank entries.

    The interval holds the middle 95 % of an entry's ranks over the resamples. Entries that are
    equal on a resample take up all the ranks they share there: the least counts for the lower end,
    the greatest for the upper one. It is widened to hold `rank` where it would not.

    Args:
        values: what ranks, (n_entries,).
        resampled: the same on paired resamples, (n_entries, n_resamples).

    Returns:
        One place an entry, in the order of `values`.

    Raises:
        ValueError: no entry, other shapes, or a number that is NaN or infinite.
    """
    _check(values, resampled)
    letters = tie_letters(values, told_apart(values, resampled))
    ordered = np.sort(resampled, axis=0)  # (n_entries, n_resamples)
    least = np.empty(resampled.shape, dtype=np.int64)
    greatest = np.empty(resampled.shape, dtype=np.int64)
    n = len(values)
    for column in range(resampled.shape[1]):
        # entries above: those right of the last equal one
        least[:, column] = n - np.searchsorted(ordered[:, column], resampled[:, column], "right")
        greatest[:, column] = n - np.searchsorted(ordered[:, column], resampled[:, column], "left")
    tail = (1 - LEVEL) / 2
    low = np.quantile(least + 1, tail, axis=1, method="inverted_cdf")
    high = np.quantile(greatest, 1 - tail, axis=1, method="inverted_cdf")
    ranks = [1 + int((values > value).sum()) for value in values]
    return tuple(
        Place(rank=rank, interval_95=(min(rank, int(a)), max(rank, int(b))), letters=letter)
        for rank, a, b, letter in zip(ranks, low, high, letters, strict=True)
    )


def told_apart(values: FloatArray, resampled: FloatArray) -> Matrix:
    """Say which entries differ significantly, all pairs taken together.

    Each pair's difference is taken in its own bootstrap standard errors (paired: what moves both
    alike cancels) and given the p value of a standard normal (Efron and Tibshirani, An Introduction
    to the Bootstrap (1993), 12.2); all p values are corrected by Holm. So the chance of telling
    apart any two that are equal in truth is at most 5 %, however many entries there are, and no
    entry can blur the others more than by being one more to compare. A difference that never moves
    is told apart exactly if it is not 0.

    Returns:
        True for pairs that differ; symmetric, (n_entries, n_entries).

    Raises:
        ValueError: as `rank_intervals`.
    """
    _check(values, resampled)
    from scipy.special import erfc

    first, second = np.triu_indices(len(values), k=1)  # (n_pairs,)
    size = np.abs(values[first] - values[second])
    errors = [  # one entry at a time: all pairs at once would not fit the memory
        (resampled[i] - resampled[i + 1 :]).std(axis=1, ddof=1) for i in range(len(values) - 1)
    ]
    error = np.concatenate([*errors, np.empty(0)])
    fixed = error <= NOISE
    p = erfc(size / np.where(fixed, 1, error) / math.sqrt(2))  # two-sided
    p = np.where(fixed, np.where(size > NOISE, 0.0, 1.0), p)
    apart = np.zeros((len(values), len(values)), dtype=np.bool_)
    apart[first, second] = np.array(adjust(list(p), "holm")) < 1 - LEVEL
    return np.asarray(apart | apart.T)


def tie_letters(values: FloatArray, apart: Matrix) -> tuple[tuple[str, ...], ...]:
    """Return a compact letter display: two entries share a letter iff they are not told apart.

    Every pair that is not told apart is put into a set of which no two are, grown from the best
    entry down; each set is a letter (the covers of Gramm, Guo, Huffner, Niedermeier, Piepho and
    Schmid, Computational Statistics and Data Analysis 52 (2007), 725, built greedily). It is exact,
    but need not be the shortest.

    Args:
        values: what ranks, (n_entries,).
        apart: symmetric, False on its diagonal, (n_entries, n_entries).

    Returns:
        Letters by entry, at least one each: a to z, then aa, ab and so on.
    """
    order = [int(i) for i in np.argsort(-values, kind="stable")]
    covered = np.zeros(apart.shape, dtype=np.bool_)
    letters: list[list[str]] = [[] for _ in order]
    n_sets = 0
    for place, i in enumerate(order):
        for j in order[place:]:  # i itself first: an entry unlike all others has a letter too
            if apart[i, j] or covered[i, j]:
                continue
            members = _grown({i, j}, order, apart)
            covered[np.ix_(members, members)] = True
            for member in members:
                letters[member].append(_letter(n_sets))
            n_sets += 1
    return tuple(tuple(found) for found in letters)


def _grown(members: set[int], order: Sequence[int], apart: Matrix) -> list[int]:
    """Add every entry, best first, that is told apart from no member."""
    alike = np.asarray(~apart[sorted(members)].any(axis=0))  # (n_entries,)
    found = sorted(members)
    for k in order:
        if alike[k] and k not in members:
            found.append(k)
            alike &= ~apart[k]
    return found


def _letter(number: int) -> str:
    """Return a, b, ..., z, aa, ab, ... for 0, 1, ..."""
    text = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        text = chr(ord("a") + rest) + text
    return text


def _check(values: FloatArray, resampled: FloatArray) -> None:
    if values.ndim != 1 or not values.size or resampled.ndim != 2:
        raise ValueError("expected values (n_entries,) and resamples (n_entries, n_resamples)")
    if len(resampled) != len(values) or resampled.shape[1] < 2:
        raise ValueError(f"{len(values)} values, but resamples of shape {resampled.shape}")
    if not np.isfinite(values).all() or not np.isfinite(resampled).all():
        raise ValueError("a value to rank is NaN or infinite")
