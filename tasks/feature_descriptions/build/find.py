"""Describes every feature of one autoencoder: conjunctions found on one half, scored on the other.

Owns which of the conjunctions found becomes the description, and the numbers that decide whether a
feature is kept. Reads activations as a sparse matrix; runs no model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ..judge.slots import Parts, join
from ..windows import WINDOW
from .matched import Index, Matches, bigram_keys, flags_auroc, match, strong_level, token_keys
from .search import Conjunction, ConjunctionSearch

LEAST_ACTIVE = 20
"""Tokens of each half on which a feature must be active."""
WITHIN = {"token": 0.3, "bigram": 0.3}
"""What telling strong from silent occurrences of one token, and of one bigram, weighs beside the
correlation when a description is chosen."""
LEAST_PAIRS = 4
"""Pairs from which it counts."""

Ids = npt.NDArray[np.int32]
Report = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A feature, its description and what decides whether it is kept."""

    feature: int
    """Its latent."""
    name: str
    """Name of the conjunction."""
    r_search: float
    """Signed correlation on the searched half."""
    r_held_out: float
    """The same on the other half."""
    token_r: float
    """Correlation, on the other half, of the mean activation of each token on the searched half."""
    bigram_r: float
    """The same of each pair of neighbouring tokens."""
    active: int
    """Tokens of the other half on which it is active."""
    token_auroc: float
    """Strong against silent occurrences of one token, on the other half; NaN without a pair."""
    token_pairs: int
    """Pairs of these."""
    bigram_auroc: float
    """Strong against silent occurrences of one bigram, on the other half; NaN without a pair."""
    bigram_pairs: int
    """Pairs of these."""


class Half:
    """Activations, predicates and keys on one half of the text."""

    def __init__(
        self, activations: sparse.csc_matrix, parts: Parts, ids: Ids, half: npt.NDArray[np.bool_]
    ) -> None:
        """Take one half.

        Args:
            activations: (n_windows * 32, n_latents), none below 0.
            parts: predicates on the same windows.
            ids: the windows, (n_windows, 32).
            half: windows to take, (n_windows,).
        """
        rows = np.flatnonzero(np.repeat(half, WINDOW))
        self.n = len(rows)
        self.activations = sparse.csc_matrix(activations.tocsr()[rows])
        self.predicates = sparse.csc_matrix(parts.values.tocsr()[rows])
        self.keys = {"token": token_keys(ids[half]), "bigram": bigram_keys(ids[half])}
        self.indices = {name: Index(keys) for name, keys in self.keys.items()}

    def feature(self, latent: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Rows on which a latent is active, ascending, and its activations there."""
        low, high = self.activations.indptr[latent : latent + 2]
        rows, values = self.activations.indices[low:high], self.activations.data[low:high]
        order = np.argsort(rows, kind="stable")
        return rows[order].astype(np.int64), values[order].astype(np.float32)


def describe(
    activations: sparse.csc_matrix,
    parts: Parts,
    ids: Ids,
    searched: npt.NDArray[np.bool_],
    *,
    report: Report = lambda _done: None,
) -> list[Described]:
    """Describe every latent that is active often enough.

    Args:
        activations: (n_windows * 32, n_latents), exactly 0 where a latent is silent.
        parts: predicates on the same windows.
        ids: the windows, (n_windows, 32).
        searched: windows that are searched, (n_windows,); the others score.
        report: told the number of latents done.
    """
    sides = [Half(activations, parts, ids, half) for half in (searched, ~searched)]
    search = ConjunctionSearch(sides[0].predicates, parts.slots)
    tables = {name: _table_r(sides, name) for name in ("token", "bigram")}
    flags = [np.zeros(side.n, dtype=np.bool_) for side in sides]
    found: list[Described] = []
    for latent in range(activations.shape[1]):
        seen = [side.feature(latent) for side in sides]
        if min(len(rows) for rows, _ in seen) >= LEAST_ACTIVE:
            level = strong_level(np.concatenate([values for _, values in seen]))
            one = _chosen(search, sides[0], *seen[0], level, flags[0])
            numbers = _scored(one, sides[1], *seen[1], level, flags[1])
            found.append(
                Described(
                    feature=latent,
                    name=join(parts.names[column] for column in one.columns),
                    r_search=one.r,
                    token_r=float(tables["token"][latent]),
                    bigram_r=float(tables["bigram"][latent]),
                    active=len(seen[1][0]),
                    r_held_out=numbers["r_held_out"],
                    token_auroc=numbers["token_auroc"],
                    token_pairs=int(numbers["token_pairs"]),
                    bigram_auroc=numbers["bigram_auroc"],
                    bigram_pairs=int(numbers["bigram_pairs"]),
                )
            )
        if not latent % 64:
            report(latent)
    return found


def _chosen(
    search: ConjunctionSearch,
    side: Half,
    rows: npt.NDArray[np.int64],
    values: npt.NDArray[np.float32],
    level: float,
    flags: npt.NDArray[np.bool_],
) -> Conjunction:
    """Return the conjunction that predicts well over all and within one token or bigram."""
    groups = {name: match(index, rows, values, level) for name, index in side.indices.items()}
    candidates = search.candidates(rows, values)
    scores = []
    for one in candidates:
        held = search.holds(one.columns)
        flags[held] = True
        score = one.r
        for name, weight in WITHIN.items():
            if groups[name].pairs.sum() >= LEAST_PAIRS:
                score += weight * (flags_auroc(groups[name], flags) - 0.5)
        flags[held] = False
        scores.append(score)
    return candidates[int(np.argmax(scores))]


def _scored(
    one: Conjunction,
    side: Half,
    rows: npt.NDArray[np.int64],
    values: npt.NDArray[np.float32],
    level: float,
    flags: npt.NDArray[np.bool_],
) -> dict[str, float]:
    """Score a conjunction on the half that was not searched."""
    matrix = side.predicates
    held = matrix.indices[matrix.indptr[one.columns[0]] : matrix.indptr[one.columns[0] + 1]]
    for column in one.columns[1:]:
        more = matrix.indices[matrix.indptr[column] : matrix.indptr[column + 1]]
        held = np.intersect1d(held, more, assume_unique=True)
    flags[held] = True
    found: dict[str, float] = {
        "r_held_out": _flag_r(side.n, len(held), values, float(values[flags[rows]].sum()))
    }
    for name, index in side.indices.items():
        groups: Matches = match(index, rows, values, level)
        count = int(groups.pairs.sum())
        found[f"{name}_pairs"] = count
        found[f"{name}_auroc"] = flags_auroc(groups, flags) if count else float("nan")
    flags[held] = False
    return found


def _flag_r(n: int, held: int, values: npt.NDArray[np.float32], product: float) -> float:
    """Correlation of an activation with a predicate, from sums; 0 where either is constant."""
    total, square = float(values.sum(dtype=float)), float(np.square(values, dtype=float).sum())
    scale = (square - total**2 / n) * (held - held**2 / n)
    return (product - total * held / n) / scale**0.5 if scale > 0 else 0.0


def _table_r(sides: list[Half], name: str) -> npt.NDArray[np.float64]:
    """Correlation of every latent on the second half with its mean by key on the first."""
    _, place = np.unique(np.concatenate([side.keys[name] for side in sides]), return_inverse=True)
    places = (place[: sides[0].n], place[sides[0].n :])
    n_keys = int(place.max()) + 1
    spreads = [
        sparse.csr_matrix((np.ones(side.n), (own, np.arange(side.n))), shape=(n_keys, side.n))
        for side, own in zip(sides, places, strict=True)
    ]
    counts = [np.bincount(own, minlength=n_keys).astype(np.float64) for own in places]
    sums = [sparse.csc_matrix(s @ side.activations) for s, side in zip(spreads, sides, strict=True)]
    means = sparse.csc_matrix(sparse.diags(1 / np.maximum(counts[0], 1)) @ sums[0])
    weighted = sparse.csc_matrix(sparse.diags(counts[1]) @ means)
    n = sides[1].n

    def total(matrix: sparse.csc_matrix) -> npt.NDArray[np.float64]:
        return np.asarray(matrix.sum(axis=0), dtype=np.float64).ravel()

    truth = sides[1].activations
    first, second = total(weighted), total(truth)
    cross = total(means.multiply(sums[1])) - first * second / n
    spread = total(weighted.multiply(means)) - first**2 / n
    width = total(truth.multiply(truth)) - second**2 / n
    scale = np.sqrt(np.maximum(spread, 0) * np.maximum(width, 0))
    found: npt.NDArray[np.float64] = np.divide(
        cross, scale, out=np.zeros_like(cross), where=scale > 0
    )
    return found
