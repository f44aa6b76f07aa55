"""The nearest training vector: centred cosine within a place and a block."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from introspect_bench.benchmark.suite.freeze import Measured
from introspect_bench.tasks.activation_patching.build.balance import nearest, with_nearest


def query(vector: Any, *, kind: str = "last", layers: tuple[int, int] = (0, 5)) -> Measured:
    return Measured(
        kind=kind,
        fields={"layers": list(layers), "relation": "r"},
        clean="a",
        outcome="b",
        clean_ids=[1],
        outcome_ids=[2],
        margin=1.0,
        vector=np.asarray(vector, np.float16),
        place=kind,
        distances={"norm": 1.0, "to_mean": 99.0},
    )


def test_it_is_the_largest_centred_cosine() -> None:
    rng = np.random.default_rng(0)
    training, asked = rng.normal(3, 1, size=(40, 16)), rng.normal(3, 1, size=(9, 16))
    mean = training.mean(0)
    expected = cosine_similarity(asked - mean, training - mean).max(1)
    np.testing.assert_allclose(nearest(asked, training), expected)
    assert nearest(training[:1], training)[0] == pytest.approx(1.0)


def test_only_the_same_place_and_layers_count() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(12, 16)).astype(np.float16)
    train = [[query(v) for v in vectors[:8]], [query(v, layers=(6, 11)) for v in vectors[8:]]]
    asked = [query(vectors[0]), query(vectors[9]), query(vectors[9], layers=(6, 11))]
    elsewhere = query(vectors[0], kind="relation")
    found = with_nearest({"train": train, "test": [asked, [elsewhere]]})
    same, other, moved = found["test"][0]
    assert same.nearest_train == pytest.approx(1.0, abs=1e-6)
    assert moved.nearest_train == pytest.approx(1.0, abs=1e-6)
    assert other.nearest_train is not None
    assert other.nearest_train < 0.9
    assert found["test"][1][0].nearest_train is None  # no training vector there
    assert found["test"][1][0].distances == elsewhere.distances
    assert all(q.nearest_train is None for group in found["train"] for q in group)


def test_distance_to_the_mean_is_to_that_of_the_training_vectors() -> None:
    train = [[query([0.0, 0.0]), query([2.0, 0.0])]]
    found = with_nearest({"train": train, "validation": [[query([1.0, 3.0])]]})
    assert found["validation"][0][0].distances == {"norm": 1.0, "to_mean": 3.0}
    assert found["train"][0][0].distances == {"norm": 1.0, "to_mean": 1.0}


def test_without_training_groups_nothing_is_known() -> None:
    """A test split made alone."""
    (found,) = with_nearest({"test": [[query([1.0, 2.0])]]})["test"][0]
    assert found.nearest_train is None
