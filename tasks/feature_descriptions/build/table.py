"""What the current token alone says of a residual: a frozen vector for every token.

The token table of one layer, after Dooms and Wilhelm 2024, "Tokenized SAEs": the mean residual of
each token, shrunk to a linear map of its embedding. A feature of what is left is a feature of the
context. Pure: arrays in, arrays out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ....benchmark.errors import UsageError
from ..windows import Floats, Ids

SHRINK = 10.0  # occurrences of a token at which its own mean and the map weigh the same
CAP = 3.0  # cap of a centred residual's length, in median lengths
_RIDGE = 1e-3
_ROWS = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenTable:
    """A layer's mean and cap, and what each token says."""

    mean: Floats  # mean residual, (d_model,)
    cap: float
    """Greatest length of a centred residual; a few tokens carry residuals a hundred times as long
    as all others."""
    rows: Floats
    """What to subtract from a centred and capped residual, by token id, (vocabulary, d_model)."""

    def left(self, residuals: npt.NDArray[np.floating], tokens: Ids) -> Floats:
        """Return what tokens, (n,), do not say of residuals, (n, d_model)."""
        left: Floats = capped(residuals, self.mean, self.cap) - self.rows[tokens]
        return left


def capped(residuals: npt.NDArray[np.floating], mean: Floats, cap: float) -> Floats:
    """Centre residuals (n, d_model) and shorten those longer than the cap, float32."""
    centred = residuals.astype(np.float32) - mean
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    shortened: Floats = centred * (cap / np.maximum(lengths, np.float32(cap)))
    return shortened


def fit_table(residuals: npt.NDArray[np.floating], tokens: Ids, embeddings: Floats) -> TokenTable:
    """Fit the table of one layer.

    Residuals are of the fitted text, (n, d_model), tokens those at each, (n,), embeddings the
    target's input embeddings, (vocabulary, d_embedding).
    """
    if len(residuals) != len(tokens) or not len(tokens):
        raise UsageError(f"{len(residuals)} residuals of {len(tokens)} tokens")
    mean, cap = _centring(residuals)
    vocabulary, width = len(embeddings), residuals.shape[1]
    sums = np.zeros((vocabulary, width), dtype=np.float64)
    counts = np.bincount(tokens, minlength=vocabulary).astype(np.float64)
    for part in _parts(len(tokens)):
        np.add.at(sums, tokens[part], capped(residuals[part], mean, cap))
    mapped = _mapped(sums, counts, embeddings)
    rows = (sums + SHRINK * mapped) / (counts[:, None] + SHRINK)
    return TokenTable(mean=mean, cap=cap, rows=rows.astype(np.float32))


def explained(table: TokenTable, residuals: npt.NDArray[np.floating], tokens: Ids) -> float:
    """Share of the variance of centred and capped residuals that the table holds."""
    left = total = 0.0
    for part in _parts(len(tokens)):
        total += float(np.square(capped(residuals[part], table.mean, table.cap)).sum(dtype=float))
        left += float(np.square(table.left(residuals[part], tokens[part])).sum(dtype=float))
    return 1.0 - left / total


def _parts(n: int) -> Iterator[slice]:
    return (slice(start, start + _ROWS) for start in range(0, n, _ROWS))


def _centring(residuals: npt.NDArray[np.floating]) -> tuple[Floats, float]:
    """Mean of residuals whose excess is capped about the median, and the cap."""
    step = max(1, len(residuals) // 40_000)
    some = residuals[::step].astype(np.float32)
    middle = np.median(some, axis=0).astype(np.float32)
    cap = CAP * float(np.median(np.linalg.norm(some - middle, axis=1)))
    mean = middle + capped(some, middle, cap).mean(axis=0)
    return mean.astype(np.float32), cap


def _mapped(
    sums: npt.NDArray[np.float64], counts: npt.NDArray[np.float64], embeddings: Floats
) -> npt.NDArray[np.float64]:
    """Least squares map of embeddings to residuals, at every token, (vocabulary, d_model)."""
    inputs = np.concatenate([embeddings.astype(np.float64), np.ones((len(embeddings), 1))], axis=1)
    seen = counts > 0
    weighted = inputs[seen] * counts[seen, None]
    square = inputs[seen].T @ weighted
    square[np.diag_indices_from(square)] += _RIDGE * np.trace(square) / len(square)
    solution = np.linalg.solve(square, inputs[seen].T @ sums[seen])
    mapped: npt.NDArray[np.float64] = inputs @ solution
    return mapped
