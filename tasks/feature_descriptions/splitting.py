"""Puts described features into splits, in the form that is written.

Owns which vectors are shown besides the autoencoders' features. Pure; draws are by hash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from introspect_bench.benchmark.errors import CheckFailedError
from introspect_bench.benchmark.files import sha256_bytes
from introspect_bench.benchmark.freeze_features import MeasuredFeature
from introspect_bench.tasks.feature_descriptions.assemble import Candidate
from introspect_bench.tasks.feature_descriptions.exemplars import PLAN
from introspect_bench.tasks.feature_descriptions.splits import (
    NEAR,
    Described,
    Directions,
    clusters,
    draw,
    nearest,
)

DRAWN = ("test", "validation")
"""Splits that are drawn; the rest is for training."""
VECTORS = ("activation", "difference")
"""Kinds of features that are no autoencoder's; for test alone."""


def split_features(
    found: Sequence[Candidate],
    others: Sequence[Candidate],
    *,
    drawn: int,
    vectors: int,
    predicate_cap: float,
    seed: int,
) -> dict[str, list[MeasuredFeature]]:
    """Put features into splits.

    Args:
        found: described features of autoencoders.
        others: described vectors, for test.
        drawn: autoencoder features in test, and in validation.
        vectors: full activations in test, and differences.
        predicate_cap: largest share of one predicate in a drawn split.
        seed: decides the draws.

    Raises:
        CheckFailedError: there are too few.
    """
    directions = _directions(found)
    cluster = clusters(directions)
    described = [
        Described(key=one.key, layer=one.layer, predicate=one.description.name, cluster=int(number))
        for one, number in zip(found, cluster, strict=True)
    ]
    places_of = draw(described, dict.fromkeys(DRAWN, drawn), seed=seed, predicate_cap=predicate_cap)
    train = directions[places_of["train"]]
    result = {}
    for split, places in places_of.items():
        near = _nearest_other(train) if split == "train" else nearest(directions[places], train)
        result[split] = [
            frozen(found[place], f"cluster:{cluster[place]}", float(cosine))
            for place, cosine in zip(places, near, strict=True)
        ]
    chosen = choose_vectors(others, directions, dict.fromkeys(VECTORS, vectors), seed=seed)
    near = nearest(_directions(chosen), train)
    result["test"] += [
        frozen(one, one.key, float(cosine)) for one, cosine in zip(chosen, near, strict=True)
    ]
    return result


def frozen(one: Candidate, group: str, near: float) -> MeasuredFeature:
    """Put a candidate into the form that is written."""
    return MeasuredFeature(
        kind=one.kind,
        fields={"layer": one.layer},
        group=group,
        vector=one.direction,
        descriptions=one.description.phrases,
        predicate=one.description.name,
        r_search=one.description.r_search,
        r_held_out=one.description.r_held_out,
        nearest_train=near,
        window_r=one.window_r,
        kinds=np.array(PLAN, dtype=np.uint8),
        ids=one.held_out.ids,
        activations=one.held_out.activations,
        oracle_ids=one.describing.ids,
        oracle_activations=one.describing.activations,
        foreign_ids=one.foreign.ids,
        foreign_activations=one.foreign.activations,
    )


def choose_vectors(
    others: Sequence[Candidate], directions: Directions, counts: Mapping[str, int], *, seed: int
) -> list[Candidate]:
    """Choose vectors that are near-duplicates of no feature and not of each other.

    Full activations are drawn by hash, differences by how well their predicate does on the half
    that is not scored.

    Raises:
        CheckFailedError: there are too few.
    """
    near = nearest(_directions(others), directions).tolist() if others else []
    pool = [one for one, cosine in zip(others, near, strict=True) if cosine <= NEAR]
    chosen: list[Candidate] = []
    for kind, count in counts.items():
        taken: list[Candidate] = []
        for one in sorted((c for c in pool if c.kind == kind), key=lambda c: _rank(c, seed)):
            if len(taken) < count and not _is_near(one, taken):
                taken.append(one)
        if len(taken) < count:
            raise CheckFailedError(f"only {len(taken)} of {count} vectors of kind {kind}")
        chosen += taken
    return chosen


def _rank(one: Candidate, seed: int) -> tuple[float, str]:
    order = -one.description.r_search if one.kind == "difference" else 0.0
    return order, sha256_bytes(f"{seed}:{one.key}".encode())


def _is_near(one: Candidate, others: Sequence[Candidate]) -> bool:
    return bool(others) and float(nearest(_directions([one]), _directions(others))[0]) > NEAR


def _directions(found: Sequence[Candidate]) -> Directions:
    return np.stack([one.direction for one in found]).astype(np.float32)


def _nearest_other(train: Directions) -> Directions:
    """Largest cosine of each vector with another of the same array, (n,)."""
    found = np.empty(len(train), dtype=np.float32)
    for row, direction in enumerate(train):
        cosines = train @ direction
        cosines[row] = -1
        found[row] = cosines.max()
    return found
