"""Predictions as they are stored, and descriptions dealt to other features."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from introspect_bench.benchmark.errors import UsageError
from introspect_bench.tasks.feature_descriptions.judge.judges import quantise, shuffled


def test_quantised_activations_keep_their_ends() -> None:
    found = quantise(np.array([0, 10, 5, 0.01, 0.03], np.float32))
    assert found.tolist() == [0, 255, 128, 0, 1]
    for wrong in (-0.1, 10.1, np.nan):
        with pytest.raises(UsageError):
            quantise(np.array([wrong], np.float32))


@pytest.mark.parametrize(
    "names", [list("aabbcc"), list("aaabbb"), [str(n) for n in range(9)], list("aaabcd")]
)
def test_a_shuffled_description_means_something_else(names: list[str]) -> None:
    ways: Counter[tuple[int, ...]] = Counter()
    for seed in range(30):
        places = shuffled(names, np.random.default_rng(seed)).tolist()
        assert sorted(places) == list(range(len(names)))
        assert all(names[place] != name for place, name in zip(places, names, strict=True))
        ways[tuple(places)] += 1
    assert len(ways) > 3


def test_too_many_of_one_meaning_cannot_be_shuffled() -> None:
    with pytest.raises(UsageError, match="3 of 5"):
        shuffled(list("aaabc"), np.random.default_rng(0))
