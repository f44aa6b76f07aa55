"""How good a simulator is: correlations by kind of description, with intervals and bars.

Owns the numbers of the simulator report. Pure but for the Generator of the bootstrap: arrays in,
JSON out; no model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from introspect_bench.benchmark.errors import UsageError

KINDS = ("true", "shuffled", "empty", "reversed")
"""Descriptions under which a feature is simulated."""
N_RESAMPLES = 2000
"""Resamples of the bootstrap, over features."""
LEVEL = 0.95
"""Coverage of an interval."""
BARS = {"auroc": 0.85, "gain": 0.25, "shuffled": 0.03}
"""Least AUROC of true against shuffled, least gain of r, greatest size of the mean r shuffled."""

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


def quality(
    truth: npt.NDArray[np.number[Any]],
    predicted: Mapping[str, npt.NDArray[np.number[Any]]],
    *,
    rng: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
) -> dict[str, Any]:
    """Report signed correlations by kind of description.

    A feature whose truth is constant has no correlation under any description: it is left out and
    counted. A constant prediction predicts nothing: its r is 0, and it is counted.

    Args:
        truth: true activations, (n, w, 32).
        predicted: for each of `KINDS` the predictions, in any unit, same shape.
        rng: draws the features of the bootstrap.
        n_resamples: how often.

    Returns:
        `features`, `truth_constant`; for each kind `r` with `mean`, `median`, `interval` and
        `constant`; `auroc` of true against shuffled and `gain`, mean r(true) - mean r(shuffled),
        each with `value` and `interval`; `bars` with `value`, `bar` and `met`. Percentile
        intervals at 95 %, all from the same resamples of features.

    Raises:
        UsageError: a kind is missing, shapes differ, or fewer than two features are left.
    """
    if set(predicted) != set(KINDS):
        raise UsageError(f"expected predictions of {', '.join(KINDS)}")
    found = {kind: signed_r(truth, predicted[kind]) for kind in KINDS}
    kept = ~found["true"][2]
    n = int(kept.sum())
    if n < 2:
        raise UsageError(f"{n} features with an activation that varies; needs two or more")
    r = {kind: found[kind][0][kept] for kind in KINDS}
    constant = {kind: int(found[kind][1][kept].sum()) for kind in KINDS}
    summary = _summary(r, constant, rng.integers(n, size=(n_resamples, n)))
    return {"features": n, "truth_constant": int((~kept).sum()), **summary}


def _summary(
    r: Mapping[str, FloatArray], constant: Mapping[str, int], draws: npt.NDArray[np.int64]
) -> dict[str, Any]:
    """Means, AUROC, gain and bars of correlations (n,); `draws` holds resamples in its rows."""
    means = {kind: r[kind][draws].mean(axis=1) for kind in KINDS}
    areas = np.array([auroc(r["true"][rows], r["shuffled"][rows]) for rows in draws])
    values = {
        "auroc": auroc(r["true"], r["shuffled"]),
        "gain": float(r["true"].mean() - r["shuffled"].mean()),
        "shuffled": abs(float(r["shuffled"].mean())),
    }
    return {
        "r": {
            kind: {
                "mean": float(r[kind].mean()),
                "median": float(np.median(r[kind])),
                "interval": _ends(means[kind]),
                "constant": constant[kind],
            }
            for kind in KINDS
        },
        "auroc": {"value": values["auroc"], "interval": _ends(areas)},
        "gain": {"value": values["gain"], "interval": _ends(means["true"] - means["shuffled"])},
        "bars": {name: _bar(name, value) for name, value in values.items()},
    }


def _bar(name: str, value: float) -> dict[str, Any]:
    bar = BARS[name]
    met = value <= bar if name == "shuffled" else value >= bar
    return {"value": value, "bar": bar, "met": bool(met)}


def _ends(values: FloatArray) -> list[float]:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return [float(low), float(high)]
