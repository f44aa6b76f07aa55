"""The verdict rule that an adversary would choose: two thresholds and a coin between them.

Balanced exact match is the root of a product of two shares, one of queries whose output changed and
one of those whose output did not. Each is linear in how often a rule says `changed` where, so the
best rule for a score mixes at most two thresholds (minus and plus infinity among them: a coin that
looks at nothing). Owns the choice of that mixture and what it scores, in expectation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .columns import BoolArray, FloatArray

GRID = 100  # thresholds tried, at quantiles of the score


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """Says `changed` above `low` or above `high`, by a coin."""

    low: float
    high: float
    weight: float  # how often the lower one is used
    value: float  # balanced exact match where it was chosen

    def says_changed(self, score: FloatArray) -> FloatArray:
        """Return the chance of the verdict `changed` for each query, (n,)."""
        return self.weight * (score > self.low) + (1 - self.weight) * (score > self.high)


class Thresholds:
    """Thresholds on one score, to be mixed for any pair of content rules."""

    def __init__(self, score: FloatArray, changed: BoolArray) -> None:
        """Take a score, the larger the likelier a change, and what changed, (n,) each."""
        levels = np.quantile(score, np.linspace(0, 1, GRID), method="lower")
        self._levels = np.unique(np.concatenate([[-np.inf], levels, [np.inf]]))
        above = score[None, :] > self._levels[:, None]
        self._changed = changed
        self._above = above[:, changed].astype(np.float32)  # sums stay below 2 ** 24: exact
        self._below = (~above[:, ~changed]).astype(np.float32)

    def choose(self, right_changed: BoolArray, right_unchanged: BoolArray) -> Mixture:
        """Return the mixture with the largest balanced exact match."""
        hits = _shares(self._above, right_changed[self._changed])
        rest = _shares(self._below, right_unchanged[~self._changed])
        # A product of two linear functions of the weight: a parabola, whose top is inside [0, 1]
        # or at an end.
        a0, b0 = hits[None, :], rest[None, :]
        da, db = hits[:, None] - a0, rest[:, None] - b0
        curve = da * db
        top = np.divide(-(a0 * db + b0 * da), 2 * curve, out=np.ones_like(curve), where=curve < 0)
        weight = np.clip(top, 0.0, 1.0)
        product = (a0 + weight * da) * (b0 + weight * db)
        i, j = np.unravel_index(int(np.argmax(product)), product.shape)
        value, share = float(np.sqrt(product[i, j])), float(weight[i, j])
        low, high = float(self._levels[i]), float(self._levels[j])
        if low > high:
            low, high, share = high, low, 1 - share
        return Mixture(low=low, high=high, weight=share, value=value)


def _shares(said: npt.NDArray[np.float32], right: BoolArray) -> FloatArray:
    return (said @ right.astype(np.float32)).astype(np.float64) / max(len(right), 1)


def expected(
    says_changed: FloatArray,
    right_changed: BoolArray,
    right_unchanged: BoolArray,
    changed: BoolArray,
) -> dict[str, float | None]:
    """Return what a rule with a coin scores on average, None where there is no such query."""
    exact = np.where(changed, says_changed * right_changed, (1 - says_changed) * right_unchanged)
    content = says_changed * right_changed + (1 - says_changed) * right_unchanged
    on_changed, on_unchanged = _mean(exact[changed]), _mean(exact[~changed])
    balanced = None
    if on_changed is not None and on_unchanged is not None:
        balanced = float(np.sqrt(on_changed * on_unchanged))
    return {
        "balanced_exact_match": balanced,
        "exact_match": _mean(exact),
        "exact_match_changed": on_changed,
        "exact_match_unchanged": on_unchanged,
        "content_match_changed": _mean(content[changed]),
        "verdict_accuracy": _mean(np.where(changed, says_changed, 1 - says_changed)),
    }


def _mean(values: FloatArray) -> float | None:
    return float(values.mean()) if len(values) else None
