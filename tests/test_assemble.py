"""Candidates: the windows kept for a feature, their activations, and how true a description is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from introspect_bench.tasks.feature_descriptions.assemble import activity, candidates
from introspect_bench.tasks.feature_descriptions.describe import Description

N = 80


def description(feature: int) -> Description:
    return Description(
        feature=feature, name="word:x", phrases=("a", "b", "c"), r_search=0.9, r_held_out=0.8
    )


def text() -> tuple[Any, Any, Any]:
    """Windows, the searched half, and a feature that is active at token 7 of every third one."""
    rng = np.random.default_rng(0)
    ids = rng.integers(10, 40, size=(N, 32)).astype(np.int32)
    active = np.zeros((N, 32), dtype=np.float32)
    active[::3, 7] = rng.uniform(1, 5, size=len(active[::3]))
    searched = np.arange(N) < N // 2
    return ids, searched, active


def found(activations: Any, ids: Any, searched: Any, predicate: Any, kind: str = "sae") -> Any:
    source = SimpleNamespace(layer=3, directions=np.eye(4, dtype=np.float32))
    return candidates(
        source,
        kind,
        [description(1)],
        activations,
        ids,
        searched,
        {"word:x": sparse.csc_matrix(predicate.reshape(-1, 1))},
        rng=np.random.default_rng(0),
    )


def test_windows_activations_and_truth_of_a_sparse_feature() -> None:
    ids, searched, active = text()
    columns = np.zeros((N * 32, 4), dtype=np.float32)
    columns[:, 1] = active.ravel()
    (one,) = found(sparse.csc_matrix(columns), ids, searched, (active > 0).astype(np.uint8))
    assert one.key == "sae:03:000001"
    assert not searched[one.held_out.rows].any()
    assert searched[one.describing.rows].all()
    for shown in (one.held_out, one.describing):
        np.testing.assert_array_equal(shown.ids, ids[shown.rows])
        np.testing.assert_allclose(shown.activations, active[shown.rows], rtol=1e-3)
        assert (active[shown.rows[:5]].max(axis=1) > 0).all()
        assert (active[shown.rows[6:]].max(axis=1) == 0).all()
    assert not set(one.foreign.rows) & {*one.held_out.rows, *one.describing.rows}
    assert len(set(one.foreign.rows)) == 8
    np.testing.assert_allclose(one.foreign.activations, active[one.foreign.rows], rtol=1e-3)
    told = (active[one.held_out.rows] > 0).ravel()
    by_hand = np.corrcoef(active[one.held_out.rows].ravel(), told)[0, 1]
    assert one.window_r == pytest.approx(by_hand, abs=1e-3)
    assert (one.direction == np.eye(4)[1]).all()


def test_a_feature_that_is_silent_in_one_half_is_left_out() -> None:
    ids, searched, active = text()
    active[~searched] = 0
    columns = np.zeros((N * 32, 4), dtype=np.float32)
    columns[:, 1] = active.ravel()
    assert found(sparse.csc_matrix(columns), ids, searched, (active > 0).astype(np.uint8)) == []


def test_projections_keep_their_sign() -> None:
    ids, searched, active = text()
    columns = np.zeros((N * 32, 4), dtype=np.float32)
    columns[:, 1] = active.ravel() - 2
    (one,) = found(columns, ids, searched, (active > 0).astype(np.uint8), "activation")
    assert one.held_out.activations.min() == pytest.approx(-2)
    np.testing.assert_allclose(
        one.held_out.activations, active[one.held_out.rows] - 2, rtol=1e-3, atol=1e-3
    )


def test_activity_leaves_three_tokens_in_a_hundred() -> None:
    values = np.random.default_rng(0).standard_normal((10_000, 2)).astype(np.float32)
    kept = activity(values)
    assert kept.shape == values.shape
    assert kept.nnz == pytest.approx(600, abs=10)
    assert kept.data.min() > 0
