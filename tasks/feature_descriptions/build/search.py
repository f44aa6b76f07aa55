"""Describes every feature of one autoencoder: conjunctions found on one half, scored on the other.

The search is a beam over conjunctions of one to three predicates whose parts stand in different
slots (what the token is, what stands right before it, where it is ...), so that each can be said as
one noun phrase with its contexts. The score is the signed Pearson correlation with the activation
over all tokens, zeros included; which of those found becomes the description also depends on how
well it tells strong from silent occurrences. Reads activations as a sparse matrix; runs no model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ..judge.conjunctions import Parts, join
from ..windows import WINDOW, Floats, Ids
from .matched import KEYS, Rows, Side, flags_auroc, match, strong_level

BEAM = (12, 3)  # best single predicates, and best pairs, that are extended
GAIN = 0.02  # how much one more part must add to the correlation
WORTHWHILE = 0.25  # correlation below which a conjunction is not extended
LEAST = 15  # tokens on which a conjunction must hold
LEAST_ACTIVE = 20  # tokens of each half on which a feature must be active
WITHIN = 0.3
"""What telling strong from silent occurrences of one token, and of one bigram, weighs beside the
correlation when a description is chosen."""
LEAST_PAIRS = 4  # pairs from which it counts

Counts = npt.NDArray[np.float64]
Rates = Callable[[Counts, Counts], Counts]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conjunction:
    """Predicates that hold together."""

    columns: tuple[int, ...]  # of the parts, ascending
    r: float  # correlation with the activation on the searched tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A feature, its description and what decides whether it is kept."""

    feature: int  # its latent
    name: str  # name of the conjunction
    r_search: float  # signed correlation on the searched half
    r_held_out: float  # the same on the other half
    token_r: float
    """Correlation, on the other half, of the mean activation of each token on the searched half."""
    bigram_r: float
    """The same of each pair of neighbouring tokens."""
    active: int  # tokens of the other half on which it is active
    token_auroc: float
    """Strong against silent occurrences of one token, on the other half; NaN without a pair."""
    token_pairs: int  # pairs of these
    bigram_auroc: float
    """Strong against silent occurrences of one bigram, on the other half; NaN without a pair."""
    bigram_pairs: int  # pairs of these


class ConjunctionSearch:
    """Predicates on the searched tokens, and what is remembered of them between features."""

    def __init__(self, predicates: sparse.csc_matrix, slots: Rows) -> None:
        """Bind predicates, 0 or 1, (n_tokens, n_predicates), and the slot of each.

        Two of one slot are never joined.
        """
        self._n = predicates.shape[0]
        self._columns = predicates
        self._rows = sparse.csr_matrix(predicates, dtype=np.float32)
        self._slots = slots
        self._widths = np.diff(predicates.indptr).astype(np.float64)
        self._pairs: dict[int, Floats] = {}

    def candidates(self, tokens: Rows, values: Floats) -> list[Conjunction]:
        """Return the best conjunctions of one, two and three parts, the best of each size first.

        Tokens are where the feature is active; values its activations there, above 0.
        """
        own = self._rows[tokens].tocsc()
        weights = values.astype(np.float64)
        total, square = float(weights.sum()), float(np.square(weights).sum())
        spread = np.sqrt(square - total**2 / self._n)

        def rates(products: Counts, counts: Counts) -> Counts:
            width = np.sqrt(np.maximum(counts - counts**2 / self._n, 0))
            scale = np.where(counts >= LEAST, width * spread, np.inf)
            found: Counts = (products - total * counts / self._n) / np.maximum(scale, 1e-12)
            return found

        singles = rates(np.asarray(own.T @ weights), self._widths)
        best = [Conjunction(columns=(c,), r=float(singles[c])) for c in _top(singles, BEAM[0])]
        found = best[:3]
        for beam in (*BEAM[1:], 3):
            if not best or best[0].r < WORTHWHILE:
                break
            best = self._extended(best, own, weights, rates)[:beam]
            found += best[:3]
        return found

    def _extended(
        self, best: Sequence[Conjunction], own: sparse.csc_matrix, weights: Counts, rates: Rates
    ) -> list[Conjunction]:
        """Best conjunctions with one part more, each at most once."""
        found: dict[tuple[int, ...], Conjunction] = {}
        for one in best:
            held, rows = np.zeros(len(weights)), holding(own, one.columns)
            held[rows] = weights[rows]
            scores = rates(np.asarray(own.T @ held), self._counts(one.columns))
            taken = np.isin(self._slots, self._slots[list(one.columns)])
            scores[taken] = -1
            for column in _top(scores, 8):
                columns = tuple(sorted((*one.columns, column)))
                if scores[column] > one.r + GAIN:
                    found[columns] = Conjunction(columns=columns, r=float(scores[column]))
        return sorted(found.values(), key=lambda each: (-each.r, each.columns))

    def _counts(self, columns: tuple[int, ...]) -> Counts:
        """Tokens on which a conjunction and each predicate hold, (n_predicates,)."""
        if len(columns) > 1:
            return self._together(columns).astype(np.float64)
        if columns[0] not in self._pairs:
            self._pairs[columns[0]] = self._together(columns)
        return self._pairs[columns[0]].astype(np.float64)

    def _together(self, columns: tuple[int, ...]) -> Floats:
        rows = holding(self._columns, columns)
        return np.asarray(self._rows[rows].sum(axis=0)).ravel().astype(np.float32)


def holding(predicates: sparse.csc_matrix, columns: Sequence[int]) -> Rows:
    """Rows on which all of some predicates hold, ascending."""
    parts = [predicates.indices[predicates.indptr[c] : predicates.indptr[c + 1]] for c in columns]
    rows = np.sort(parts[0])
    for part in parts[1:]:
        rows = np.intersect1d(rows, part, assume_unique=True)
    return rows.astype(np.int64)


def _top(scores: Counts, count: int) -> list[int]:
    """Places of the largest scores, the largest first; of equals the earlier, which is simpler."""
    order: list[int] = np.argsort(-scores, kind="stable")[:count].tolist()
    return order


def describe(
    activations: sparse.csc_matrix,
    parts: Parts,
    ids: Ids,
    searched: npt.NDArray[np.bool_],
    *,
    report: Callable[[int], None] = lambda _done: None,
) -> list[Described]:
    """Describe every latent that is active often enough.

    Activations (n_windows * 32, n_latents) are exactly 0 where a latent is silent; `parts` are
    predicates on the same windows (n_windows, 32). Windows that are `searched`, (n_windows,), find
    a description, the others score it. The number of latents done is reported.
    """
    sides, predicates = [], []
    for half in (searched, ~searched):
        rows = np.flatnonzero(np.repeat(half, WINDOW))
        sides.append(Side(ids[half], sparse.csc_matrix(activations.tocsr()[rows])))
        predicates.append(sparse.csc_matrix(parts.values.tocsr()[rows]))
    search = ConjunctionSearch(predicates[0], parts.slots)
    tables = {name: _table_r(sides, name) for name in KEYS}
    found: list[Described] = []
    for latent in range(activations.shape[1]):
        seen = [side.feature(latent) for side in sides]
        if min(len(rows) for rows, _ in seen) >= LEAST_ACTIVE:
            level = strong_level(np.concatenate([values for _, values in seen]))
            one = _chosen(search, predicates[0], sides[0], *seen[0], level)
            found.append(
                Described(
                    feature=latent,
                    name=join(parts.names[column] for column in one.columns),
                    r_search=one.r,
                    token_r=float(tables["token"][latent]),
                    bigram_r=float(tables["bigram"][latent]),
                    active=len(seen[1][0]),
                    **_scored(holding(predicates[1], one.columns), sides[1], *seen[1], level),
                )
            )
        if not latent % 64:
            report(latent)
    return found


def _flags(held: Rows, n: int) -> npt.NDArray[np.bool_]:
    flags = np.zeros(n, dtype=np.bool_)
    flags[held] = True
    return flags


def _chosen(
    search: ConjunctionSearch,
    predicates: sparse.csc_matrix,
    side: Side,
    rows: Rows,
    values: Floats,
    level: float,
) -> Conjunction:
    """Return the conjunction that predicts well over all and within one token or bigram."""
    matches = [match(index, rows, values, level) for index in side.indices.values()]
    candidates = search.candidates(rows, values)
    scores = []
    for one in candidates:
        flags = _flags(holding(predicates, one.columns), predicates.shape[0])
        score = one.r
        for groups in matches:
            if groups.pairs.sum() >= LEAST_PAIRS:
                score += WITHIN * (flags_auroc(groups, flags) - 0.5)
        scores.append(score)
    return candidates[int(np.argmax(scores))]


def _scored(held: Rows, side: Side, rows: Rows, values: Floats, level: float) -> dict[str, Any]:
    """Scores of `Described` on the half that was not searched, of what holds at some rows."""
    n = side.activations.shape[0]
    flags = _flags(held, n)
    product = float(values[flags[rows]].sum())
    found: dict[str, Any] = {"r_held_out": _flag_r(n, len(held), values, product)}
    for name, index in side.indices.items():
        groups = match(index, rows, values, level)
        count = int(groups.pairs.sum())
        found[f"{name}_pairs"] = count
        found[f"{name}_auroc"] = flags_auroc(groups, flags) if count else float("nan")
    return found


def _flag_r(n: int, held: int, values: Floats, product: float) -> float:
    """Correlation of an activation with a predicate, from sums; 0 where either is constant."""
    total, square = float(values.sum(dtype=float)), float(np.square(values, dtype=float).sum())
    scale = (square - total**2 / n) * (held - held**2 / n)
    return (product - total * held / n) / scale**0.5 if scale > 0 else 0.0


def _table_r(sides: Sequence[Side], name: str) -> Counts:
    """Correlation of every latent on the second half with its mean by key on the first."""
    keys = [side.indices[name].keys for side in sides]
    _, place = np.unique(np.concatenate(keys), return_inverse=True)
    n_keys, n = int(place.max()) + 1, len(keys[1])
    sums, counts = [], []
    for own, side in zip(np.split(place, [len(keys[0])]), sides, strict=True):
        spread = sparse.csr_matrix(
            (np.ones(len(own)), (own, np.arange(len(own)))), shape=(n_keys, len(own))
        )
        sums.append(sparse.csc_matrix(spread @ side.activations))
        counts.append(np.bincount(own, minlength=n_keys).astype(np.float64))
    means = sparse.csc_matrix(sparse.diags(1 / np.maximum(counts[0], 1)) @ sums[0])
    weighted = sparse.csc_matrix(sparse.diags(counts[1]) @ means)

    def total(matrix: sparse.csc_matrix) -> Counts:
        return np.asarray(matrix.sum(axis=0), dtype=np.float64).ravel()

    truth = sides[1].activations
    first, second = total(weighted), total(truth)
    cross = total(means.multiply(sums[1])) - first * second / n
    spread_of = total(weighted.multiply(means)) - first**2 / n
    width = total(truth.multiply(truth)) - second**2 / n
    scale = np.sqrt(np.maximum(spread_of, 0) * np.maximum(width, 0))
    found: Counts = np.divide(cross, scale, out=np.zeros_like(cross), where=scale > 0)
    return found
