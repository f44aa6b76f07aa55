"""Conjunctions are found on one half and scored on the other; splits keep relatives apart."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy import sparse

from introspect_bench.benchmark.errors import CheckFailedError, UsageError
from introspect_bench.tasks.feature_descriptions.build.search import (
    ConjunctionSearch,
    Described,
    describe,
)
from introspect_bench.tasks.feature_descriptions.build.splits import (
    FeatureCandidate,
    clusters,
    draw,
    kept_as,
    settled,
)
from introspect_bench.tasks.feature_descriptions.judge.conjunctions import (
    SLOTS,
    Parts,
    join,
    parts_of,
    slot,
)

NAMES = ("word:a", "word:b", "previous-word:a", "previous-word:b", "inside:quotation")


def test_parts_stand_in_different_slots() -> None:
    assert slot("word:to") == "thing"
    assert slot("previous-list:question-word") == "previous"
    assert slot("inside:quotation") == "inside"
    name = join(["inside:quotation", "word:to", "previous-word:a"])
    assert name == "all(word:to;previous-word:a;inside:quotation)"
    assert parts_of(name) == ["word:to", "previous-word:a", "inside:quotation"]
    assert join(["word:to"]) == "word:to"
    with pytest.raises(UsageError):
        join(["word:to", "noun-file:food"])


def made(seed: int = 0, n: int = 400) -> tuple[np.ndarray, sparse.csc_matrix]:
    """Ids of two tokens, and the predicates of `NAMES` on them."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 2, (n, 32)).astype(np.int32)
    before = np.full_like(ids, -1)
    before[:, 1:] = ids[:, :-1]
    quoted = rng.random(ids.shape) < 0.4
    flags = [ids == 0, ids == 1, before == 0, before == 1, quoted]
    return ids, sparse.csc_matrix(np.stack([f.ravel() for f in flags], axis=1).astype(np.uint8))


def test_the_search_finds_what_trying_all_finds() -> None:
    _, predicates = made()
    dense = predicates.toarray().astype(float)
    slots = np.array([SLOTS.index(slot(name)) for name in NAMES])
    rng = np.random.default_rng(1)
    activation = dense[:, 0] * dense[:, 3] * dense[:, 4] * (2 + rng.random(len(dense)))
    activation[rng.random(len(dense)) < 0.02] = 1.0
    rows = np.flatnonzero(activation)
    found = ConjunctionSearch(predicates, slots).candidates(
        rows, activation[rows].astype(np.float32)
    )
    best = max(found, key=lambda one: one.r)
    tried = {}
    for size in (1, 2, 3):
        for columns in combinations(range(len(NAMES)), size):
            if len({slots[c] for c in columns}) == size:
                held = dense[:, columns].prod(axis=1)
                tried[columns] = np.corrcoef(held, activation)[0, 1]
    assert best.columns == max(tried, key=lambda columns: tried[columns]) == (0, 3, 4)
    for one in found:
        assert one.r == pytest.approx(tried[one.columns], abs=1e-6)


def test_a_context_is_described_and_scored_on_the_other_half() -> None:
    ids, predicates = made()
    dense = predicates.toarray()
    parts = Parts(
        names=NAMES,
        slots=np.array([SLOTS.index(slot(name)) for name in NAMES]),
        values=predicates,
    )
    rng = np.random.default_rng(2)
    by_context = dense[:, 3] * dense[:, 4] * (2 + rng.random(len(dense)))
    by_token = dense[:, 0] * (2 + rng.random(len(dense)))
    seldom = np.zeros(len(dense))
    seldom[:5] = 1
    activations = sparse.csc_matrix(np.stack([by_context, by_token, seldom], axis=1), dtype="f4")
    searched = np.arange(len(ids)) % 2 == 0
    context, token = describe(activations, parts, ids, searched)
    assert context.name == "all(previous-word:b;inside:quotation)"
    assert token.name == "word:a"
    assert (context.feature, token.feature) == (0, 1)
    other = np.repeat(~searched, 32)
    held = dense[other, 3] * dense[other, 4]
    expected = np.corrcoef(held, by_context[other])[0, 1]
    assert context.r_held_out == pytest.approx(expected, abs=1e-6)
    # the table of means by token, worked out the long way
    tokens = ids.ravel()
    means = [by_token[~other & (tokens == t)].mean() for t in (0, 1)]
    expected = np.corrcoef(np.array(means)[tokens[other]], by_token[other])[0, 1]
    assert token.token_r == pytest.approx(expected, abs=1e-6)
    assert context.token_r < 0.3 < 0.9 < token.token_r
    assert context.token_auroc == context.bigram_auroc == 1.0
    assert context.token_pairs >= context.bigram_pairs > 100


def one(feature: int, name: str, **changed: float) -> Described:
    values = {
        "r_search": 0.6,
        "r_held_out": 0.6,
        "token_r": 0.2,
        "bigram_r": 0.4,
        "active": 100,
        "token_auroc": 0.9,
        "token_pairs": 9,
        "bigram_auroc": 0.8,
        "bigram_pairs": 4,
    }
    return Described(feature=feature, name=name, **(values | changed))  # type: ignore[arg-type]


def test_bars_decide_the_kind() -> None:
    assert kept_as(one(0, "word:a")) == ("bigram", "context-token")
    assert kept_as(one(0, "word:a", bigram_auroc=0.69)) == ("context-token",)
    assert kept_as(one(0, "word:a", bigram_auroc=float("nan"), token_pairs=7)) == ()
    assert kept_as(one(0, "word:a", token_r=0.5)) == ()
    assert kept_as(one(0, "word:a", r_held_out=0.45)) == ()
    assert kept_as(one(0, "word:a", r_held_out=0.45), least_r=0.4)
    assert kept_as(one(0, "word:a", token_r=0.6), plain=True) == ("token",)
    assert kept_as(one(0, "word:a"), plain=True) == ()


def candidates(n: int = 60) -> list[FeatureCandidate]:
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((n, 16)).astype(np.float32)
    directions[1] = directions[0] + 0.05 * directions[1]  # near-duplicates
    directions[3] = directions[2] + 1.0 * directions[3]  # relatives
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    names = [f"word:{'xyzuvw'[n % 6]}{n // 2}" for n in range(n)]
    names[2] = names[3] = "word:same"
    return [
        FeatureCandidate(
            layer=n % 3,
            direction=directions[n],
            described=one(n, names[n]),
            windows={"bigram": n % 4 != 0, "context-token": True},
        )
        for n in range(n)
    ]


def test_drawn_features_are_told_better_than_training_ones() -> None:
    found = [
        replace(c, described=replace(c.described, token_auroc=0.79, bigram_auroc=0.79))
        if n < 9
        else c
        for n, c in enumerate(candidates())
    ]
    for seed in range(20):
        splits = draw(found, {"test": {"bigram": 20, "context-token": 10}}, seed=seed)
        assert min(place for place, _ in splits["test"]) >= 9
        assert min(place for place, _ in splits["train"]) < 9


def test_near_duplicates_and_relatives_stay_apart() -> None:
    found = candidates()
    sizes = {"test": {"bigram": 20, "context-token": 10}, "validation": {"bigram": 8}}
    for seed in range(20):
        splits = draw(found, sizes, seed=seed)  # type: ignore[arg-type]
        assert splits == draw(found, sizes, seed=seed)  # type: ignore[arg-type]
        of = {place: split for split, rows in splits.items() for place, _ in rows}
        assert sum(map(len, splits.values())) == len(of)
        assert [kind for _, kind in splits["test"]] == ["bigram"] * 20 + ["context-token"] * 10
        for place, kind in splits["test"]:
            assert kind != "bigram" or place % 4
            for other in of:
                if of[other] == "train" and found[other].described.name == (
                    found[place].described.name
                ):
                    assert found[other].direction @ found[place].direction < 0.5
        assert not {0, 1} <= of.keys() or of[0] == of[1]


def test_a_split_that_cannot_be_filled_is_refused() -> None:
    with pytest.raises(CheckFailedError, match="only"):
        draw(candidates(), {"test": {"bigram": 50}}, seed=0)


def test_the_nearest_training_feature_never_means_the_same() -> None:
    def candidate(number: int, name: str, *direction: float) -> FeatureCandidate:
        unit = np.array(direction, dtype=np.float32) / np.linalg.norm(direction)
        return FeatureCandidate(layer=0, direction=unit, described=one(number, name), windows={})

    drawn = [candidate(0, "word:a", 1, 0, 0), candidate(1, "word:b", 0, 1, 0)]
    train = [
        candidate(2, "word:a", 0.4, 0, 1),  # the nearest one of the first, and means the same
        candidate(3, "word:a", 0.3, 0, 1),  # the nearest one once that has left
        candidate(4, "word:c", 0.2, 0.3, 1),
        candidate(5, "word:b", 0.0, 0.1, 1),  # means the same as the second, but others are nearer
        candidate(6, "word:a", -1, 0, 0),
    ]
    kept = settled(train, drawn)
    assert kept == [2, 3, 4]
    for feature in drawn:
        cosines = [float(train[place].direction @ feature.direction) for place in kept]
        nearest = train[kept[int(np.argmax(cosines))]]
        assert nearest.described.name != feature.described.name
    assert settled(train, []) == [0, 1, 2, 3, 4]
    assert settled(train[:2], drawn[:1]) == []


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
