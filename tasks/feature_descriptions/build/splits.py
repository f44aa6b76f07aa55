"""Which features of context are kept, and which split each goes into.

The bars of a kept feature, the draw of test and validation (layers in turn, no predicate too often,
near-duplicates never apart) and what training must leave out so that no feature of a drawn split
has a near relative with the same description there. Pure; the draw is by hash.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ....benchmark.errors import CheckFailedError
from ..windows import Floats
from .search import Described

MOST_TOKEN_R = 0.5  # a feature that the current token predicts this well is none of context
LEAST_R = 0.5  # least held-out correlation of its description
LEAST_AUROC = {"bigram": 0.7, "context-token": 0.7}
"""Least chance that its description tells strong from silent occurrences of one token (bigram)."""
DRAWN_AUROC = {"bigram": 0.8, "context-token": 0.88}
"""The same of features that are drawn: what was measured on the fitted text falls on another."""
LEAST_PAIRS = {"bigram": 4, "context-token": 8}  # pairs that this must be known from
PREDICATE_SHARE = 0.03  # largest share of one description in a drawn kind
RELATIVE = 0.5
"""Cosine from which a training feature with the same description is too near a drawn one."""
TRAIN_TOKEN = 500  # most training features of kind `token`
NEAR = 0.9  # cosine above which two vectors are near-duplicates
_ROWS = 1024

Kind = Literal["bigram", "context-token", "token"]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureCandidate:
    """A described feature of one layer."""

    layer: int  # 0-based decoder layer
    direction: Floats  # unit direction, (d_model,)
    described: Described  # its description and scores
    windows: Mapping[Kind, bool]  # whether there are windows to score it on, by kind
    plain: bool = False
    """Whether it is of an autoencoder of whole residuals, no token table taken off."""

    @property
    def key(self) -> str:
        """Name of the feature, unique in a suite."""
        return f"{'plain' if self.plain else 'left'}:{self.layer:02d}:{self.described.feature:06d}"


def kept_as(
    one: Described,
    *,
    plain: bool = False,
    least_r: float = LEAST_R,
    least_auroc: Mapping[str, float] = LEAST_AUROC,
) -> tuple[Kind, ...]:
    """Kinds that a feature can be of; the first says more.

    A feature of an autoencoder of whole residuals is kept if the token predicts it, any other if
    the token does not.
    """
    if one.r_held_out < least_r or (one.token_r >= MOST_TOKEN_R) != plain:
        return ()
    if plain:
        return ("token",)
    found: list[Kind] = []
    scores: tuple[tuple[Kind, float, int], ...] = (
        ("bigram", one.bigram_auroc, one.bigram_pairs),
        ("context-token", one.token_auroc, one.token_pairs),
    )
    for kind, auroc, pairs in scores:
        if not math.isnan(auroc) and auroc >= least_auroc[kind] and pairs >= LEAST_PAIRS[kind]:
            found.append(kind)
    return tuple(found)


def draw(
    found: Sequence[FeatureCandidate],
    sizes: Mapping[str, Mapping[Kind, int]],
    *,
    seed: int,
    least_r: float = LEAST_R,
) -> dict[str, list[tuple[int, Kind]]]:
    """Put features that are kept as some kind into splits, in an order that the seed chooses.

    Sizes are features of each kind in the drawn splits, in the order of drawing; if one can't be
    filled, `CheckFailedError`. Returns by split the places in `found`, each with its kind; what is
    not drawn is `train`, less the relatives of what is.
    """
    cluster = clusters(np.stack([one.direction for one in found]))
    kinds, good = (
        [
            kept_as(one.described, plain=one.plain, least_r=least_r, least_auroc=least)
            for one in found
        ]
        for least in (LEAST_AUROC, DRAWN_AUROC)
    )
    order = _turns(found, seed)
    taken: set[int] = set()
    result: dict[str, list[tuple[int, Kind]]] = {}
    for split, wanted in sizes.items():
        result[split] = []
        for kind, size in wanted.items():
            usable = [p for p in order if kind in good[p] and found[p].windows[kind]]
            drawn = _drawn(found, usable, cluster, taken, size)
            if len(drawn) < size:
                raise CheckFailedError(
                    f"{split} needs {size} features of kind {kind}, only {len(drawn)} fit: more "
                    "text or features are needed"
                )
            result[split] += [(place, kind) for place in sorted(drawn)]
    rest = [place for place in range(len(found)) if int(cluster[place]) not in taken]
    near = _relatives(found, rest, [place for rows in result.values() for place, _ in rows])
    free = set(rest) - near
    of_token = [place for place in order if place in free and kinds[place][0] == "token"]
    left_out = near | set(of_token[TRAIN_TOKEN:])
    result["train"] = [(place, kinds[place][0]) for place in rest if place not in left_out]
    return result


def _drawn(
    found: Sequence[FeatureCandidate],
    usable: Sequence[int],
    cluster: Places,
    taken: set[int],
    size: int,
) -> list[int]:
    """The first usable places of clusters that nobody took, no description too often."""
    counts: Counter[str] = Counter()
    limit = max(1, int(PREDICATE_SHARE * size))
    drawn: list[int] = []
    for place in usable:
        name = found[place].described.name
        if len(drawn) < size and int(cluster[place]) not in taken and counts[name] < limit:
            counts[name] += 1
            taken.add(int(cluster[place]))
            drawn.append(place)
    return drawn


def _relatives(
    found: Sequence[FeatureCandidate], rest: Sequence[int], drawn: Sequence[int]
) -> set[int]:
    """Places of the rest that lie near a drawn feature with the same description."""
    by_name: dict[str, list[Floats]] = defaultdict(list)
    for place in drawn:
        by_name[found[place].described.name].append(found[place].direction)
    return {
        place
        for place in rest
        for direction in by_name[found[place].described.name]
        if float(found[place].direction @ direction) >= RELATIVE
    }


def settled(train: Sequence[FeatureCandidate], drawn: Sequence[FeatureCandidate]) -> list[int]:
    """Places of training features without those that give a drawn one's description away.

    That is the nearest one of a drawn feature, if it has the same description; then again, until
    nobody's nearest one has.
    """
    kept = list(range(len(train)))
    if not kept or not drawn:
        return kept
    cosines = stored(drawn) @ stored(train).T
    while kept:
        best = np.asarray(kept)[cosines[:, kept].argmax(axis=1)].tolist()
        same = {
            place
            for place, one in zip(best, drawn, strict=True)
            if train[place].described.name == one.described.name
        }
        if not same:
            break
        kept = [place for place in kept if place not in same]
    return kept


def stored(found: Sequence[FeatureCandidate]) -> Floats:
    """Directions as a suite stores them, float32 (n, d_model)."""
    return np.stack([one.direction for one in found]).astype(np.float16).astype(np.float32)


def _turns(found: Sequence[FeatureCandidate], seed: int) -> list[int]:
    """Places in hashed order, layers in turn."""

    def rank(place: int) -> str:
        return hashlib.sha256(f"{seed}:{found[place].key}".encode()).hexdigest()

    by_layer: dict[int, list[int]] = defaultdict(list)
    for place in sorted(range(len(found)), key=rank):
        by_layer[found[place].layer].append(place)
    turns = zip_longest(*(by_layer[layer] for layer in sorted(by_layer)))
    return [place for turn in turns for place in turn if place is not None]


def clusters(directions: Floats) -> Places:
    """Number of each unit vector's cluster, (n,): chains of vectors whose cosine is above `NEAR`.

    Directions are (n, d_target), of any layers.
    """
    if np.abs(np.linalg.norm(directions, axis=1) - 1).max(initial=0) > 1e-3:
        raise ValueError("a vector is not of length 1")
    n = len(directions)
    pairs = [np.empty((2, 0), dtype=np.int64)]
    for start in range(0, n, _ROWS):
        cosines = directions[start : start + _ROWS] @ directions.T
        first, second = np.nonzero(cosines > NEAR)
        pairs.append(np.stack([first + start, second]))
    rows, columns = np.concatenate(pairs, axis=1)
    graph = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)
