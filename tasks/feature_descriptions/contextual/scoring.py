"""How well predicted activations tell a feature's marked tokens apart, and follow it at random.

Owns the two formulas of a feature: pairwise AUROC at the marked tokens, rescaled, and the weighted
signed correlation over random windows. Pure.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from introspect_bench.tasks.feature_descriptions.contextual.matching import pairwise_auroc

Floats = npt.NDArray[np.float32]


def marked_auroc(
    predicted: Floats,
    marks: npt.NDArray[np.int8],
    strong: npt.NDArray[np.bool_],
    group: npt.NDArray[np.int8],
) -> float:
    """Chance that a strong marked token is predicted above a silent one of its group, ties half.

    A reader of the current token alone is at 0.5: the tokens of a group are equal.

    Args:
        predicted: of all tokens, (n_windows, 32).
        marks: position of the scored token, -1 where there is none, (n_windows,).
        strong: whether it is strong, (n_windows,).
        group: which marked tokens are compared, (n_windows,).

    Raises:
        ValueError: no group has a strong and a silent token.
    """
    rows = np.flatnonzero(marks >= 0)
    values = predicted[rows, marks[rows]]
    return pairwise_auroc(values, strong[rows], group[rows].astype(np.int64))


def rescaled(auroc: float) -> float:
    """2 AUROC - 1: 0 for a reader of the token alone, 1 for a perfect prediction."""
    return 2 * auroc - 1


def weighted_r(truth: Floats, predicted: Floats, weights: Floats) -> float:
    """Signed correlation over all tokens of random windows, each window by its weight.

    Args:
        truth: true activations, (n_windows, 32).
        predicted: predicted ones, same shape.
        weights: what each window stands for, (n_windows,); windows of weight 0 are left out.

    Returns:
        -1 to 1; 0 where either side is constant.
    """
    kept = weights > 0
    flat = [side[kept].astype(np.float64).ravel() for side in (truth, predicted)]
    share = np.repeat(weights[kept].astype(np.float64), truth.shape[1])
    share /= share.sum()
    centred = [side - share @ side for side in flat]
    spreads = [share @ side**2 for side in centred]
    if any((side == side[0]).all() for side in flat) or not all(spreads):
        return 0.0
    product = share @ (centred[0] * centred[1])
    return float(product / np.sqrt(spreads[0] * spreads[1]))
