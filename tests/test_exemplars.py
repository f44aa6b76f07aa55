"""Windows chosen for features whose behaviour is made up."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from introspect_bench.tasks.feature_descriptions.exemplars import (
    KINDS,
    PLAN,
    choose,
    kinds,
    peaks_by_kind,
)

N = 60
WORD, CONTEXT = 7, 8  # the feature is active at WORD, but only behind CONTEXT


def made() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Windows of which every third holds the word, and every sixth behind its context."""
    rng = np.random.default_rng(0)
    ids = rng.integers(20, 60, size=(N, 32)).astype(np.int32)
    ids[::3, 10] = WORD
    ids[::6, 9] = CONTEXT
    acts = np.zeros((N, 32))
    acts[::6, 10] = 1 + rng.random(len(ids[::6]))
    return ids, acts, np.ones(N, dtype=bool)


def columns(*acts: np.ndarray) -> sparse.csc_matrix:
    return sparse.csc_matrix(np.stack([a.ravel() for a in acts], axis=1))


def test_each_kind_is_what_it_says() -> None:
    ids, acts, half = made()
    found = choose(columns(acts), ids, half, rng=np.random.default_rng(1))
    assert found.features.tolist() == [0]
    (windows,) = found.windows
    peaks = acts.max(axis=1)
    by_kind = {
        name: [w for w, kind in zip(windows, PLAN, strict=True) if KINDS[kind] == name]
        for name in KINDS
    }
    assert by_kind["top"] == np.argsort(-peaks, kind="stable")[:3].tolist()
    assert all(0 < peaks[w] < peaks[by_kind["top"]].min() for w in by_kind["quantile"])
    # silent, though the word is there
    assert all(peaks[w] == 0 and WORD in ids[w] for w in by_kind["near-miss"])
    assert len(set(windows.tolist())) == len(PLAN) == 8
    assert kinds(2).tolist() == [list(PLAN)] * 2


def test_only_windows_of_the_half_are_chosen() -> None:
    ids, acts, half = made()
    half[:6] = False
    found = choose(columns(acts), ids, half, rng=np.random.default_rng(1))
    assert found.windows.min() >= 6
    half[:] = False
    half[:12] = True
    assert not len(choose(columns(acts), ids, half, rng=np.random.default_rng(1)).features)


def test_features_that_are_seldom_or_always_active_are_left_out() -> None:
    ids, acts, half = made()
    seldom = np.zeros_like(acts)
    seldom[:4, 3] = 1
    found = choose(
        columns(seldom, acts, np.ones_like(acts)), ids, half, rng=np.random.default_rng(1)
    )
    assert found.features.tolist() == [1]


def test_the_same_seed_gives_the_same_windows() -> None:
    ids, acts, half = made()
    first, second = (
        choose(columns(acts), ids, half, rng=np.random.default_rng(3)).windows for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


def test_what_does_not_fit_is_refused() -> None:
    ids, acts, half = made()
    with pytest.raises(ValueError, match="same windows"):
        choose(columns(acts), ids[1:], half, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="negative"):
        choose(columns(-acts), ids, half, rng=np.random.default_rng(0))


def test_peaks_by_kind() -> None:
    acts = np.zeros((1, 8, 32), dtype=np.float32)
    acts[0, :, 5] = [3, 2, 1, 0.5, 0.25, 0.125, 0, 0]
    assert peaks_by_kind(acts) == {
        "top": 2.0,
        "quantile": 0.375,
        "random": 0.125,
        "near-miss": 0.0,
    }
    with pytest.raises(ValueError, match="no features"):
        peaks_by_kind(acts[:0])
