"""How well predicted activations follow true ones. Pure formulas on arrays; no I/O, no chance.

Weights are those of sampling: how many tokens of the text a sampled one stands for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import UsageError

FloatArray = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


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


def matched_auroc(
    predicted: FloatArray, strong: Bools, matched_by: npt.NDArray[np.integer[Any]]
) -> float:
    """Return 2 AUROC - 1 over pairs of a strong and a silent token that are matched.

    Only tokens of the same match (the same token, or the same two last tokens) are compared, and
    all pairs weigh the same, so whoever reads no more than what was matched predicts the same on
    both sides of every pair: 0.

    Args:
        predicted: at the marked token of each window of a feature, (n_windows,).
        strong: whether the feature is strong there, else silent, (n_windows,).
        matched_by: number of the match, (n_windows,).

    Returns:
        -1 to 1; 1 if in every pair the strong token is predicted higher.

    Raises:
        UsageError: shapes differ, a number is not finite, or there is no pair.
    """
    if not predicted.shape == strong.shape == matched_by.shape or predicted.ndim != 1:
        raise UsageError(f"predictions {predicted.shape}, {strong.shape} and {matched_by.shape}")
    if not np.isfinite(predicted).all():
        raise UsageError("a prediction is not a finite number")
    pairs, above = 0, 0.0
    for match in np.unique(matched_by):
        own = matched_by == match
        high, low = predicted[own & strong], predicted[own & ~strong]
        if len(high) and len(low):
            pairs += len(high) * len(low)
            above += auroc(high, low) * len(high) * len(low)
    if not pairs:
        raise UsageError("no pair of a strong and a silent token that are matched")
    return 2 * above / pairs - 1


def weighted_r(truth: FloatArray, predicted: FloatArray, weights: FloatArray) -> float:
    """Correlate true and predicted activations of a feature over sampled tokens.

    Args:
        truth: true activations, (n_tokens,).
        predicted: predicted ones, (n_tokens,).
        weights: of sampling, not negative, (n_tokens,).

    Returns:
        Signed Pearson r, 0 where either side is constant over the tokens that have weight.

    Raises:
        UsageError: as `auprc`, but a feature may be silent everywhere.
    """
    _check_sampled(truth, predicted, weights)
    kept = weights > 0
    sides, share = (truth[kept], predicted[kept]), weights[kept] / weights.sum()
    if any(bool((side == side[0]).all()) for side in sides):
        return 0.0
    one, other = (side - (share * side).sum() for side in sides)
    scale = np.sqrt((share * one**2).sum() * (share * other**2).sum())
    return float(np.clip((share * one * other).sum() / scale, -1.0, 1.0))


def auprc(active: Bools, predicted: FloatArray, weights: FloatArray) -> float:
    """Return the average precision of predictions of where a feature is active.

    Sum over thresholds of the gain in recall times the precision, without interpolation
    (scikit-learn's `average_precision_score`); tokens predicted alike are taken at once, so a
    constant prediction has the weighted share of active tokens.

    Args:
        active: whether the feature is active, (n_tokens,).
        predicted: predicted activations, (n_tokens,).
        weights: of sampling, not negative, (n_tokens,).

    Returns:
        0 to 1.

    Raises:
        UsageError: shapes differ, a number is not finite, a weight is negative, or nothing, or no
            active token, has weight.
    """
    _check_sampled(active.astype(np.float64), predicted, weights)
    if not (weights[active] > 0).any():
        raise UsageError("no active token has weight: an average precision has no value")
    order = np.argsort(-predicted, kind="stable")
    last = np.append(np.diff(predicted[order]) != 0, True)  # the last of those predicted alike
    hits = np.cumsum(np.where(active, weights, 0.0)[order])[last]
    total = np.cumsum(weights[order])[last]
    precision = np.divide(hits, total, out=np.zeros_like(hits), where=total > 0)
    return float((np.diff(hits, prepend=0.0) * precision).sum() / hits[-1])


def _check_sampled(truth: FloatArray, predicted: FloatArray, weights: FloatArray) -> None:
    if not truth.shape == predicted.shape == weights.shape or truth.ndim != 1:
        raise UsageError(f"truth {truth.shape}, {predicted.shape} and {weights.shape}")
    if not all(bool(np.isfinite(side).all()) for side in (truth, predicted, weights)):
        raise UsageError("an activation or weight is not a finite number")
    if (weights < 0).any() or not weights.any():
        raise UsageError("weights of sampling are not negative, and one is above 0")
