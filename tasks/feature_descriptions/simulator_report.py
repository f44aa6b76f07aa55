"""How good a simulator is: correlations by kind of description, with intervals and bars.

Owns the numbers of the simulator report. Pure but for the Generator of the bootstrap: arrays in,
JSON out; no model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from introspect_bench.benchmark.correlations import FloatArray, auroc, signed_r
from introspect_bench.benchmark.errors import UsageError

KINDS = ("true", "shuffled", "empty", "reversed")
"""Descriptions under which a feature is simulated."""
N_RESAMPLES = 2000
"""Resamples of the bootstrap, over features."""
LEVEL = 0.95
"""Coverage of an interval."""
BARS = {"auroc": 0.85, "gain": 0.25, "shuffled": 0.03}
"""Least AUROC of true against shuffled, least gain of r, greatest size of the mean r shuffled."""


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
