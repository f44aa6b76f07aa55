"""Which windows stand for a feature: where it is most active, where less, and where it is not.

Owns the choice of windows within one half of the text. Eight windows a feature and half, in this
order:

- 3 *top*: the largest activation at any token;
- 2 *quantile*: active windows at the middle and at three quarters of the ranking by activation;
- 1 *random*: any other window;
- 2 *near-miss*: windows in which the feature is silent although they hold the tokens at which it is
  active elsewhere in this half, the commonest such tokens counting least.

No two of them are the same window. Pure but for the Generator that draws the random windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from introspect_bench.tasks.feature_descriptions.windows import WINDOW

KINDS = ("top", "quantile", "random", "near-miss")
"""Kinds of windows; their numbers on disk are their places here."""
PLAN = (0, 0, 0, 1, 1, 2, 3, 3)
"""Kind of each of a feature's windows in one half."""
QUANTILES = (0.5, 0.25)
"""Where the quantile windows stand in the ranking of active windows, 0 being the most active."""
LEAST_WINDOWS = PLAN.count(0) + 2 * len(QUANTILES)
"""Active windows a half must have for a feature to be shown."""
_CHUNK = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemplars:
    """Windows of some features within one half."""

    features: npt.NDArray[np.int64]
    """Columns of the features that are active often enough, (n_shown,), ascending."""
    windows: npt.NDArray[np.int64]
    """Rows of their windows, (n_shown, 8), kinds as in `PLAN`."""


def choose(
    activations: sparse.csc_matrix,
    ids: npt.NDArray[np.int32],
    half: npt.NDArray[np.bool_],
    *,
    rng: np.random.Generator,
) -> Exemplars:
    """Choose the windows of every feature within one half.

    Args:
        activations: (n_windows * 32, n_features), zero where a feature is silent; none below zero.
        ids: tokens, (n_windows, 32).
        half: windows to choose from, (n_windows,).
        rng: draws the random windows.

    Raises:
        ValueError: shapes differ, or an activation is negative.
    """
    n_windows = len(ids)
    if activations.shape[0] != n_windows * WINDOW or half.shape != (n_windows,):
        raise ValueError("activations, ids and half are not about the same windows")
    if activations.nnz and activations.data.min() < 0:
        raise ValueError("an activation is negative")
    rows = np.flatnonzero(half)
    tokens = (rows[:, None] * WINDOW + np.arange(WINDOW)).ravel()
    within = sparse.csc_matrix(activations.tocsr()[tokens])
    holds, rarity = _bags(ids[rows])
    shown: list[int] = []
    chosen: list[list[int]] = []
    for start in range(0, within.shape[1], _CHUNK):
        part = within[:, start : start + _CHUNK]
        likeness = _likeness(part, ids[rows], holds, rarity)
        for column in range(part.shape[1]):
            found = _of_feature(_peaks(part[:, [column]], len(rows)), likeness[:, column], rng)
            if found is not None:
                shown.append(start + column)
                chosen.append([int(rows[window]) for window in found])
    return Exemplars(
        features=np.array(shown, dtype=np.int64),
        windows=np.array(chosen, dtype=np.int64).reshape(len(shown), len(PLAN)),
    )


def _of_feature(
    peaks: npt.NDArray[np.float64], likeness: npt.NDArray[np.float64], rng: np.random.Generator
) -> list[int] | None:
    """Windows of one feature by `PLAN`, or None if it is active, or silent, too seldom."""
    active = np.flatnonzero(peaks > 0)
    silent = np.flatnonzero(peaks == 0)
    n_top, n_miss = PLAN.count(0), PLAN.count(3)
    if len(active) < LEAST_WINDOWS or len(silent) < n_miss + 1:
        return None
    ranked = active[np.argsort(-peaks[active], kind="stable")]
    taken = [*ranked[:n_top].tolist()]
    rest = ranked[n_top:]
    taken += [int(rest[int(quantile * len(rest))]) for quantile in QUANTILES]
    alike = silent[np.argsort(-likeness[silent], kind="stable")][:n_miss].tolist()
    others = np.setdiff1d(np.arange(len(peaks)), [*taken, *alike])
    return [*taken, int(rng.choice(others)), *alike]


def _peaks(activation: sparse.csc_matrix, n_windows: int) -> npt.NDArray[np.float64]:
    """Largest activation in each window, (n_windows,)."""
    peaks = np.zeros(n_windows)
    np.maximum.at(peaks, activation.indices // WINDOW, activation.data.astype(np.float64))
    return peaks


def _bags(ids: npt.NDArray[np.int32]) -> tuple[sparse.csr_matrix, npt.NDArray[np.float64]]:
    """Which tokens each window holds, (n_windows, n_vocabulary), and how rare each token is."""
    n_vocabulary = int(ids.max()) + 1
    rows = np.repeat(np.arange(len(ids)), WINDOW)
    holds = sparse.csr_matrix(
        (np.ones(ids.size), (rows, ids.ravel())), shape=(len(ids), n_vocabulary)
    )
    holds.data[:] = 1
    count = np.asarray(holds.sum(axis=0)).ravel()
    return holds, np.log(len(ids) / np.maximum(count, 1))


def _likeness(
    activations: sparse.csc_matrix,
    ids: npt.NDArray[np.int32],
    holds: sparse.csr_matrix,
    rarity: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """How many of a feature's own tokens each window holds, (n_windows, n_features).

    A token counts as the share of the feature's activation it carries, times its rarity
    (the inverse document frequency of Spaerck Jones, 1972).
    """
    spread = sparse.csr_matrix(
        (np.ones(ids.size), (ids.ravel(), np.arange(ids.size))), shape=(len(rarity), ids.size)
    )
    mass = sparse.csr_matrix(spread @ activations)  # (n_vocabulary, n_features)
    totals = np.maximum(np.asarray(mass.sum(axis=0)).ravel(), 1e-30)
    weights = sparse.diags(rarity) @ mass @ sparse.diags(1 / totals)
    return np.asarray((holds @ weights).todense(), dtype=np.float64)


def kinds(n_features: int) -> npt.NDArray[np.uint8]:
    """Kinds of the windows of some features, (n_features, 8)."""
    return np.tile(np.array(PLAN, dtype=np.uint8), (n_features, 1))


def peaks_by_kind(
    activations: npt.NDArray[np.float32], which: Sequence[int] = PLAN
) -> dict[str, float]:
    """Mean largest activation by kind of window, for a data card.

    Args:
        activations: (n_features, 8, 32).
        which: kind of each of the eight.

    Raises:
        ValueError: there is no feature.
    """
    if not len(activations):
        raise ValueError("no features: a mean over nothing has no value")
    peaks = activations.max(axis=2).mean(axis=0)
    places = np.array(which)
    return {name: float(peaks[places == kind].mean()) for kind, name in enumerate(KINDS)}
