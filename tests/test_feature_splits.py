"""Features into splits: near-duplicates stay together, no predicate rules, layers share."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from introspect_bench.benchmark.errors import CheckFailedError
from introspect_bench.tasks.feature_descriptions.splits import (
    Described,
    clusters,
    draw,
    nearest,
)


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


def test_nearest_is_the_largest_cosine() -> None:
    rows = unit(np.array([[1.0, 0], [0, 1.0]]))
    train = unit(np.array([[3.0, 4.0], [-1.0, 0]]))
    np.testing.assert_allclose(nearest(rows, train), [0.6, 0.8], atol=1e-6)
    with pytest.raises(ValueError, match="no training"):
        nearest(rows, train[:0])


def made(n: int = 400) -> list[Described]:
    return [
        Described(key=f"f{i}", layer=6 * (i % 4), predicate=f"p{min(i % 50, 40)}", cluster=i // 2)
        for i in range(n)
    ]


def test_splits_are_full_capped_and_whole() -> None:
    features = made()
    found = draw(features, {"test": 80, "validation": 40}, seed=0, predicate_cap=0.1)
    assert {name: len(rows) for name, rows in found.items()} == {
        "train": 280,
        "test": 80,
        "validation": 40,
    }
    assert sorted(i for rows in found.values() for i in rows) == list(range(400))
    owner = {i: name for name, rows in found.items() for i in rows}
    assert all(owner[i] == owner[i + 1] for i in range(0, 400, 2))  # clusters
    for name in ("test", "validation"):
        predicates = Counter(features[i].predicate for i in found[name])
        assert max(predicates.values()) <= 0.1 * len(found[name])
        layers = Counter(features[i].layer for i in found[name])
        assert min(layers.values()) >= 0.15 * len(found[name])


def test_the_draw_depends_on_the_seed_alone() -> None:
    features = made()
    sizes = {"test": 80}
    first = draw(features, sizes, seed=0, predicate_cap=0.1)
    assert first == draw(features, sizes, seed=0, predicate_cap=0.1)
    assert first != draw(features, sizes, seed=1, predicate_cap=0.1)


def test_a_split_that_cannot_be_filled_is_refused() -> None:
    with pytest.raises(CheckFailedError, match="test needs 80"):
        draw(made(60), {"test": 80}, seed=0, predicate_cap=0.5)
    with pytest.raises(CheckFailedError, match="test needs 60"):
        draw(made(), {"test": 60, "validation": 30}, seed=0, predicate_cap=0.001)
