"""Finds the conjunction of one to three predicates that best predicts a feature's activation.

Owns the search: a beam over conjunctions whose parts stand in different slots (what the token is,
what stands right before it, where it is ...), so that each can be said as one noun phrase with its
contexts. The score is the signed Pearson correlation over all tokens, zeros included. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

BEAM = (12, 3)
"""Best single predicates, and best pairs, that are extended."""
GAIN = 0.02
"""How much one more part must add to the correlation."""
WORTHWHILE = 0.25
"""Correlation below which a conjunction is not extended."""
LEAST = 15
"""Tokens on which a conjunction must hold."""

Counts = npt.NDArray[np.float64]
Rates = Callable[[Counts, Counts], Counts]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conjunction:
    """Predicates that hold together."""

    columns: tuple[int, ...]
    """Columns of the parts, ascending."""
    r: float
    """Correlation with the activation on the searched tokens."""


class ConjunctionSearch:
    """Predicates on the searched tokens, and what is remembered of them between features."""

    def __init__(self, predicates: sparse.csc_matrix, slots: npt.NDArray[np.int64]) -> None:
        """Bind.

        Args:
            predicates: 0 or 1, (n_tokens, n_predicates).
            slots: slot of each predicate, (n_predicates,); two of one slot are never joined.
        """
        self._n = predicates.shape[0]
        self._columns = predicates
        self._rows = sparse.csr_matrix(predicates, dtype=np.float32)
        self._slots = slots
        self._widths = np.diff(predicates.indptr).astype(np.float64)
        self._pairs: dict[tuple[int, ...], npt.NDArray[np.float32]] = {}

    def candidates(
        self, tokens: npt.NDArray[np.int64], values: npt.NDArray[np.float32]
    ) -> list[Conjunction]:
        """Return the best conjunctions of one, two and three parts, the best of each size first.

        Args:
            tokens: where the feature is active, (n_active,).
            values: its activations there, above 0, (n_active,).
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
            held = weights.copy()
            for column in one.columns:
                flags = np.zeros(len(held))
                flags[own.indices[own.indptr[column] : own.indptr[column + 1]]] = 1
                held *= flags
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
        if columns not in self._pairs:
            rows = self.holds(columns)
            counts = np.asarray(self._rows[rows].sum(axis=0)).ravel().astype(np.float32)
            if len(columns) > 1:
                return counts.astype(np.float64)
            self._pairs[columns] = counts
        return self._pairs[columns].astype(np.float64)

    def holds(self, columns: Sequence[int]) -> npt.NDArray[np.int64]:
        """Tokens on which all of some predicates hold, ascending."""
        matrix = self._columns
        parts = [matrix.indices[matrix.indptr[c] : matrix.indptr[c + 1]] for c in columns]
        rows = np.sort(parts[0])
        for part in parts[1:]:
            rows = np.intersect1d(rows, part, assume_unique=True)
        return rows.astype(np.int64)


def _top(scores: Counts, count: int) -> list[int]:
    """Places of the largest scores, the largest first; of equals the earlier, which is simpler."""
    order: list[int] = np.argsort(-scores, kind="stable")[:count].tolist()
    return order
