"""Which predicate predicts a feature's activation best: found on one half, verified on the other.

Owns the search and its score, nothing about what features or predicates are. The score is the
signed Pearson correlation of activation and predicate over all tokens of a half, zeros included.
Pure: no text, no model, no chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse

Combination = Literal["is", "and", "or"]
"""How the predicates of a description are joined; `is` for one predicate."""

SHORT_LIST = 10
"""Best single predicates whose pairs are tried."""
GAIN = 0.03
"""How much a pair must add to the correlation of the best single predicate to be preferred."""
LEAST_ACTIVE = 10
"""Tokens of each half on which a feature must be active to be searched at all."""
_CHUNK = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The best predicate of one feature."""

    feature: int
    """Column of the feature."""
    how: Combination
    """Whether one predicate, both of two, or either of two."""
    predicates: tuple[int, ...]
    """One column, or two in ascending order."""
    r_search: float
    """Signed correlation on the half that was searched, -1 to 1."""
    r_held_out: float
    """Signed correlation on the other half; 0 if the predicate is constant there."""


def pearson(
    activations: sparse.csc_matrix, predicates: sparse.csc_matrix
) -> npt.NDArray[np.float64]:
    """Correlate every feature with every predicate.

    Args:
        activations: (n_tokens, n_features), zero where a feature is silent.
        predicates: (n_tokens, n_predicates), 0 or 1.

    Returns:
        (n_features, n_predicates), float64; 0 where either side is constant. Formula: Pearson 1895,
        with the sums over zeros left out of the products.

    Raises:
        ValueError: the two are not about the same tokens.
    """
    if activations.shape[0] != predicates.shape[0]:
        raise ValueError(f"{activations.shape[0]} tokens against {predicates.shape[0]}")
    n = activations.shape[0]
    products = np.asarray((activations.T @ predicates).todense(), dtype=np.float64)
    sums, spreads = _moments(activations)
    counts, widths = _moments(predicates)
    covariance = products - np.outer(sums, counts) / n
    scale = np.outer(spreads, widths)
    return np.asarray(np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 0))


def search(
    activations: sparse.csc_matrix,
    predicates: sparse.csc_matrix,
    search_half: npt.NDArray[np.bool_],
) -> list[Found]:
    """Find the best predicate, or pair of them, of every feature active often enough.

    Args:
        activations: (n_tokens, n_features).
        predicates: (n_tokens, n_predicates), 0 or 1.
        search_half: (n_tokens,), true for the tokens to search on; scores are of the others.

    Raises:
        ValueError: shapes differ, or a half is empty.
    """
    if search_half.all() or not search_half.any():
        raise ValueError("both halves need tokens")
    sides = [_rows(activations, half) for half in (search_half, ~search_half)]
    tests = [_rows(predicates, half) for half in (search_half, ~search_half)]
    # on both halves: a score of tokens where a feature is silent would be about nothing
    active = np.minimum(*(np.diff(side.indptr) for side in sides)) >= LEAST_ACTIVE
    found: list[Found] = []
    for start in range(0, activations.shape[1], _CHUNK):
        features = [f for f in range(start, min(start + _CHUNK, activations.shape[1])) if active[f]]
        if not features:
            continue
        scores = pearson(sides[0][:, features], tests[0])
        for row, feature in zip(scores, features, strict=True):
            columns = [side[:, [feature]] for side in sides]
            found.append(_best(feature, row, columns, tests))
    return found


def combined(
    how: Combination, predicates: sparse.csc_matrix, columns: Sequence[int]
) -> sparse.csc_matrix:
    """Values of one or two predicates joined, (n_tokens, 1), 0 or 1.

    Raises:
        ValueError: not one column for `is`, not two for the others.
    """
    if len(columns) != (1 if how == "is" else 2):
        raise ValueError(f"{how!r} joins {len(columns)} predicates")
    first = predicates[:, [columns[0]]].astype(np.float64)
    if how == "is":
        return first
    second = predicates[:, [columns[1]]].astype(np.float64)
    both = first.multiply(second)
    return sparse.csc_matrix(both if how == "and" else first + second - both)


def _best(
    feature: int,
    scores: npt.NDArray[np.float64],
    activations: Sequence[sparse.csc_matrix],
    tests: Sequence[sparse.csc_matrix],
) -> Found:
    """The best of all single predicates and of the pairs of the short list."""
    # Stable, so that of equal scores the earlier predicate, which is the simpler, wins.
    order = np.argsort(-scores, kind="stable")[:SHORT_LIST].tolist()
    how: Combination = "is"
    chosen: tuple[int, ...] = (order[0],)
    top = float(scores[order[0]])
    needed = top + GAIN
    joined = [pair for pair in combinations(sorted(order), 2) if tests[0].shape[1] > 1]
    for kind in ("or", "and"):
        if not joined:
            break
        values = sparse.hstack([combined(kind, tests[0], pair) for pair in joined], format="csc")
        rates = pearson(activations[0], values)[0]
        best = int(np.argmax(rates))
        if rates[best] > max(needed, top):
            how, chosen, top = kind, joined[best], float(rates[best])
    held_out = float(pearson(activations[1], combined(how, tests[1], chosen))[0, 0])
    return Found(feature=feature, how=how, predicates=chosen, r_search=top, r_held_out=held_out)


def _rows(matrix: sparse.csc_matrix, keep: npt.NDArray[np.bool_]) -> sparse.csc_matrix:
    return sparse.csc_matrix(matrix.tocsr()[np.flatnonzero(keep)])


def _moments(
    matrix: sparse.csc_matrix,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Sum and root of the centred sum of squares of every column."""
    values = matrix.astype(np.float64)
    sums = np.asarray(values.sum(axis=0)).ravel()
    squares = np.asarray(values.multiply(values).sum(axis=0)).ravel()
    centred = squares - sums**2 / matrix.shape[0]
    # Rounding can leave a constant column with a tiny spread of its own.
    spread = np.sqrt(np.where(centred > 1e-12 * np.maximum(squares, 1), centred, 0))
    return sums, spread
