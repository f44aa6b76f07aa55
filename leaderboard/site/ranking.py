"""Places on a board: one number over tasks, ranks with intervals, letters for ties. Pure.

    overall = mean over tasks of (score - floor) / (ceiling - floor)

`benchmark/scoring/scale.py` says what floor and ceiling are. The floor is the same for every access
class: whoever replays an intervention and stays below what reading alone reaches has shown nothing.
Nothing is clipped. The ends are constants of the suite, so the interval is that of the raw scores.
A task whose suite misses a bar is not part of the mean. Without null models in a manifest, or for
an entry that lacks a task that counts, there is no overall, and never 0. Tasks weigh the same,
however many queries they have. Ranks come from one paired bootstrap, within an access class: the
same resamples of the same queries for every entry. Higher is better.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...benchmark.metrics.bootstrap import LEVEL, ends
from ...benchmark.metrics.paired import NOISE, adjust
from ...benchmark.metrics.verdicts import FloatArray
from ...benchmark.scoring.scale import NoScaleError, Scale, bars_missed, scale_of
from ...benchmark.suite.suite import Suite
from ...benchmark.task import Task

Matrix = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class RankInterval:
    """Where one entry stands among those it was ranked with."""

    rank: int  # 1 and one more for every entry that is better; equal values share a rank
    interval_95: tuple[int, int]  # ranks the entry may have, both ends included; holds `rank`
    letters: tuple[str, ...]  # best first; two share one if and only if they are not told apart


def rank_intervals(values: FloatArray, resampled: FloatArray) -> tuple[RankInterval, ...]:
    """Rank entries.

    The interval holds the middle 95 % of an entry's ranks over the resamples. Entries that are
    equal on a resample take up all the ranks they share there: the least counts for the lower end,
    the greatest for the upper one. It is widened to hold `rank` where it would not.

    `values` is (n_entries,), `resampled` the same on paired resamples, (n_entries, n_resamples).
    """
    from scipy.stats import rankdata

    _check(values, resampled)
    letters = tie_letters(values, told_apart(values, resampled))
    least, greatest = (rankdata(-resampled, method=way, axis=0) for way in ("min", "max"))
    tail = (1 - LEVEL) / 2
    low = np.quantile(least, tail, axis=1, method="inverted_cdf")
    high = np.quantile(greatest, 1 - tail, axis=1, method="inverted_cdf")
    ranks = [1 + int((values > value).sum()) for value in values]
    return tuple(
        RankInterval(rank=rank, interval_95=(min(rank, int(a)), max(rank, int(b))), letters=letter)
        for rank, a, b, letter in zip(ranks, low, high, letters, strict=True)
    )


def told_apart(values: FloatArray, resampled: FloatArray) -> Matrix:
    """Say which entries differ significantly, all pairs taken together.

    Each pair's difference is taken in its own bootstrap standard errors (paired: what moves both
    alike cancels) and given the p value of a standard normal (Efron and Tibshirani, An Introduction
    to the Bootstrap (1993), 12.2); all p values are corrected by Holm. So the chance of telling
    apart any two that are equal in truth is at most 5 %, however many entries there are, and no
    entry can blur the others more than by being one more to compare. A difference that never moves
    is told apart exactly if it is not 0. The matrix is symmetric, (n_entries, n_entries).
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
    but need not be the shortest. `apart` is (n_entries, n_entries), symmetric. Each entry has at
    least one letter: a to z, then aa, ab and so on.
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
    more, rest = divmod(number, 26)
    return (_letter(more - 1) if more else "") + chr(ord("a") + rest)


def _check(values: FloatArray, resampled: FloatArray) -> None:
    if values.ndim != 1 or not values.size or resampled.ndim != 2:
        raise ValueError("expected values (n_entries,) and resamples (n_entries, n_resamples)")
    if len(resampled) != len(values) or resampled.shape[1] < 2:
        raise ValueError(f"{len(values)} values, but resamples of shape {resampled.shape}")
    if not np.isfinite(values).all() or not np.isfinite(resampled).all():
        raise ValueError("a value to rank is NaN or infinite")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scales:
    """Where the scales of a suite's tasks begin and end, and which tasks count."""

    by_task: Mapping[str, Scale]  # every scale that is known
    left_out: Mapping[str, str]  # tasks that are not part of the overall: a sentence that says why
    missing: str = ""  # why there is no overall; empty if there is one

    @property
    def counted(self) -> Mapping[str, Scale]:
        """Scales of the tasks of which the overall is the mean; none if there is no overall."""
        if self.missing:
            return {}
        return {task: scale for task, scale in self.by_task.items() if task not in self.left_out}


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """An entry's headline on one task."""

    value: float  # the raw score; NaN if it has none
    resampled: FloatArray  # the raw score on every resample, (n_resamples,); NaN where it has none


@dataclass(frozen=True, slots=True, kw_only=True)
class Overall:
    """An entry's mean over the tasks of a suite, rescaled."""

    value: float  # 0 at the floors, 1 at the ceilings, not clipped
    interval_95: tuple[float, float]  # percentile interval over groups
    # On every resample on which all tasks have one, which depends on the queries alone.
    resampled: FloatArray
    by_task: Mapping[str, float]  # the rescaled score of each task


def overall(scores: Mapping[str, Headline], scales: Mapping[str, Scale]) -> Overall | None:
    """Return an entry's overall, or None if it has no score of a task, or none with an interval.

    Resamples of one task must be those of the same draws for all entries that are compared, and
    those of different tasks must come from different draws. `scales` are of every task that counts.
    """
    if not scales:
        raise ValueError("no task: a mean over nothing has no value")
    if any(task not in scores for task in scales):
        return None
    shapes = {scores[task].resampled.shape for task in scales}
    if len(shapes) != 1:
        raise ValueError(f"tasks were resampled differently: shapes {sorted(shapes)}")
    values, resampled = {}, []
    for task, scale in scales.items():
        score, length = scores[task], scale.ceiling - scale.floor
        if math.isinf(score.value) or np.isinf(score.resampled).any():
            raise ValueError(f"a score of {task} is infinite")
        values[task] = (score.value - scale.floor) / length
        resampled.append((score.resampled - scale.floor) / length)
    mean = np.mean(resampled, axis=0)  # (n_resamples,)
    value, interval = math.fsum(values.values()) / len(values), ends(mean)
    if not all(map(math.isfinite, (value, *interval))):
        return None
    return Overall(
        value=value, interval_95=interval, resampled=mean[np.isfinite(mean)], by_task=values
    )


def scales_of(tasks: Sequence[tuple[Task, Suite]], split: str) -> Scales:
    """Read the scales of all tasks of a suite, and which of them count."""
    known: dict[str, Scale] = {}
    left_out: dict[str, str] = {}
    reasons: list[str] = []
    for task, suite in tasks:
        if missed := bars_missed(suite.manifest):
            left_out[task.name] = f"Not part of the overall: {' '.join(missed)}"
        try:
            known[task.name] = scale_of(suite.manifest, split, task.headline)
        except NoScaleError as error:
            if not missed:
                reasons.append(f"{error}")
    if not reasons and len(left_out) == len(tasks):
        reasons = ["every task's suite misses a bar"]
    missing = f"There is no overall: {'; '.join(reasons)}." if reasons else ""
    return Scales(by_task=known, left_out=left_out, missing=missing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a board says of an entry as a whole."""

    overall: Overall | None  # mean over the tasks that count, rescaled; None if a task is lacking
    place: RankInterval | None  # among the ranked entries of its class; None if it is none of them


def standings(
    scores: Mapping[str, Mapping[str, Headline]],
    scales: Mapping[str, Scale],
    *,
    ranked: Mapping[str, str],
) -> dict[str, Standing]:
    """Return the standing of every entry.

    `scores` are headlines by entry and task, `scales` of every task that counts, `ranked` the
    access class of entries that may be ranked: no oracles, nothing withdrawn or unconfirmed.
    """
    found = {entry: overall(own, scales) for entry, own in scores.items()}
    classes: dict[str, dict[str, Overall]] = {}
    for entry, whole in found.items():
        if whole is not None and entry in ranked:
            classes.setdefault(ranked[entry], {})[entry] = whole
    places: dict[str, RankInterval] = {}
    for contestants in classes.values():
        values = np.array([whole.value for whole in contestants.values()])
        resampled = np.stack([whole.resampled for whole in contestants.values()])
        places |= zip(contestants, rank_intervals(values, resampled), strict=True)
    return {
        entry: Standing(overall=whole, place=places.get(entry)) for entry, whole in found.items()
    }
