"""Features put into splits: near-duplicates stay together, vectors are for test alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from introspect_bench.benchmark.errors import CheckFailedError
from introspect_bench.tasks.feature_descriptions.assemble import Candidate, Shown
from introspect_bench.tasks.feature_descriptions.describe import Description
from introspect_bench.tasks.feature_descriptions.splitting import choose_vectors, split_features

WIDTH = 64


def candidate(number: int, direction: Any, *, kind: str = "sae", r: float = 0.6) -> Candidate:
    shown = Shown(
        rows=np.arange(8),
        ids=np.full((8, 32), number, dtype=np.int32),
        activations=np.full((8, 32), number, dtype=np.float16),
    )
    return Candidate(
        kind=kind,
        layer=number % 2,
        direction=(direction / np.linalg.norm(direction)).astype(np.float16),
        description=Description(
            feature=number,
            name=f"word:w{number}",
            phrases=("a", "b", "c"),
            r_search=r,
            r_held_out=0.7,
        ),
        held_out=shown,
        describing=shown,
        foreign=shown,
        window_r=0.5,
    )


def directions(count: int) -> Any:
    return np.random.default_rng(0).standard_normal((count, WIDTH))


def test_twins_share_a_split_and_vectors_are_in_test_alone() -> None:
    rows = directions(40)
    found = [candidate(n, rows[n]) for n in range(20)]
    found += [candidate(20 + n, rows[n] + 0.01) for n in range(20)]
    others = [candidate(n, rows[20 + n], kind="activation") for n in range(3)]
    others += [candidate(n, rows[30 + n], kind="difference") for n in range(3)]
    splits = split_features(found, others, drawn=6, vectors=2, predicate_cap=0.5, seed=0)
    assert {name: len(own) for name, own in splits.items()} == {
        "train": 28,
        "validation": 6,
        "test": 10,
    }
    homes: dict[str, set[str]] = {}
    for name, own in splits.items():
        for feature in own:
            if feature.kind == "sae":
                homes.setdefault(feature.group, set()).add(name)
    assert all(len(names) == 1 for names in homes.values())
    for name, own in splits.items():
        for feature in own:
            near = feature.nearest_train
            assert near > 0.9 if name == "train" else near < 0.9
    assert {f.kind for f in splits["train"]} == {"sae"}
    assert sum(f.kind != "sae" for f in splits["test"]) == 4


def test_differences_are_taken_by_the_half_that_is_not_scored() -> None:
    rows = directions(6)
    others = [candidate(n, rows[n], kind="difference", r=n / 10) for n in range(5)]
    chosen = choose_vectors(others, rows[5:].astype(np.float32), {"difference": 2}, seed=0)
    assert [one.description.r_search for one in chosen] == [0.4, 0.3]


def test_a_vector_like_another_or_like_a_feature_is_not_shown() -> None:
    rows = directions(3)
    others = [
        candidate(0, rows[0], kind="activation"),
        candidate(1, rows[0] + 0.01, kind="activation"),
        candidate(2, rows[1], kind="activation"),
    ]
    unit = (rows[1:2] / np.linalg.norm(rows[1])).astype(np.float32)
    assert len(choose_vectors(others, unit, {"activation": 1}, seed=0)) == 1
    with pytest.raises(CheckFailedError, match="only 1 of 2"):
        choose_vectors(others, unit, {"activation": 2}, seed=0)
