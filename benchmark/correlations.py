"""How well predicted activations follow true ones. Pure formulas on arrays; no I/O, no chance."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from introspect_bench.benchmark.errors import UsageError

FloatArray = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def signed_r(
    truth: npt.NDArray[np.number[Any]], predicted: npt.NDArray[np.number[Any]]
) -> tuple[FloatArray, Bools, Bools]:
    """Correlate true and predicted activations of each feature over all its tokens.

    Args:
        truth: true activations, (n, ...).
        predicted: predicted ones, same shape.

    Returns:
        Signed Pearson r, float64 (n,), 0 where either side is constant; whether the prediction is
        constant, (n,); whether the truth is, (n,).

    Raises:
        UsageError: shapes differ, or a number is not finite.
    """
    if truth.shape != predicted.shape or truth.ndim < 2:
        raise UsageError(f"truth {truth.shape} against predictions {predicted.shape}")
    sides = [array.reshape(len(array), -1).astype(np.float64) for array in (truth, predicted)]
    if not all(bool(np.isfinite(side).all()) for side in sides):
        raise UsageError("an activation is not a finite number")
    flat = [(side == side[:, :1]).all(axis=1) for side in sides]
    centred = [side - side.mean(axis=1, keepdims=True) for side in sides]
    norms = [np.sqrt((side**2).sum(axis=1)) for side in centred]
    usable = ~flat[0] & ~flat[1]
    scale = np.where(usable, norms[0] * norms[1], 1.0)
    r = np.where(usable, (centred[0] * centred[1]).sum(axis=1) / scale, 0.0)
    return np.clip(r, -1.0, 1.0), flat[1], flat[0]


def auroc(positive: FloatArray, negative: FloatArray) -> float:
    """Chance that a positive value exceeds a negative one, ties counting half.

    From ranks, as the statistic of Mann and Whitney (1947).

    Raises:
        UsageError: a side is empty.
    """
    if not len(positive) or not len(negative):
        raise UsageError("no values on one side: an AUROC over nothing has no value")
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left")
    upto = np.searchsorted(ordered, positive, side="right")
    return float((below + upto).sum() / (2 * len(positive) * len(negative)))
