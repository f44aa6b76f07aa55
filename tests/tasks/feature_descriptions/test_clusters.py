"""Chains of near-duplicate vectors are one cluster."""

from __future__ import annotations

import numpy as np
import pytest

from introspect_bench.tasks.feature_descriptions.build.splits import clusters


def unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def test_chains_of_near_duplicates_are_one_cluster() -> None:
    angles = np.deg2rad([0, 20, 40, 120, 125, 200])  # cos 20 degrees = 0.94, cos 40 = 0.77
    found = clusters(unit(np.stack([np.cos(angles), np.sin(angles)], axis=1)))
    assert found[0] == found[1] == found[2]
    assert found[3] == found[4]
    assert len({found[0], found[3], found[5]}) == 3
    with pytest.raises(ValueError, match="length 1"):
        clusters(np.ones((2, 2), dtype=np.float32))


def test_many_vectors_are_compared_across_blocks_of_rows() -> None:
    rng = np.random.default_rng(0)
    rows = unit(rng.standard_normal((2_500, 64)))
    rows[2_400] = rows[3]
    found = clusters(rows)
    assert found[2_400] == found[3]
    assert len(set(found.tolist())) == 2_499
