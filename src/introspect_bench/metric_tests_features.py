"""What each metric of descriptions makes of predictions known to be worth something or nothing.

Owns the simulated features of the metric card. A feature is active on some occurrences of one
token, as contextual features are; a description is the set of tokens on which it says the feature
is active. No judge runs: what is tested is the formula, given what a perfect judge would predict.
Deterministic: chance comes from one seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from introspect_bench.benchmark.correlations import (
    auprc,
    auroc,
    matched_auroc,
    signed_r,
    weighted_r,
)
from introspect_bench.metric_tests import SEED, TESTS

N_FEATURES = 40
"""Features, each with its own corpus."""
N_WINDOWS, WINDOW = 2000, 32
"""Windows of a corpus, and tokens of a window."""
TOKEN_SHARE, CONTEXT_SHARE = 0.02, 0.25
"""How common a feature's token is, and on which share of its occurrences the feature is active."""
N_ACTIVE, N_RANDOM, N_NEAR = 8, 40, 8
"""Windows sampled: with the feature active, of the others, and of those that hold the token."""
N_MARKED = 8
"""Strong and silent tokens marked, as many of each."""
N_OTHERS = 19
"""Descriptions of other features that a hedging one adds to the true one."""

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Rng = np.random.Generator


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What is scored of one feature; indices are of its corpus."""

    active: Floats
    """Activations, (N_WINDOWS, WINDOW)."""
    windows: npt.NDArray[np.int64]
    """Sampled windows: active, then others."""
    weights: Floats
    """How many windows of the corpus each stands for."""
    near: npt.NDArray[np.int64]
    """Windows with the token and without the feature."""
    strong: npt.NDArray[np.int64]
    """Flat places of marked strong tokens."""
    silent: npt.NDArray[np.int64]
    """Flat places of marked silent occurrences of the same token."""


def description_figures() -> dict[str, dict[str, float]]:
    """Return the mean score over features of every answerer, by metric."""
    rng = np.random.default_rng(SEED)
    found: dict[str, dict[str, list[float]]] = {}
    for _ in range(N_FEATURES):
        sample, predictions = _feature(rng)
        for test in TESTS:
            for metric, value in _scores(sample, predictions[test]).items():
                found.setdefault(metric, {}).setdefault(test, []).append(value)
    return {
        metric: {test: float(np.mean(values)) for test, values in own.items()}
        for metric, own in found.items()
    }


def _feature(rng: Rng) -> tuple[Sample, dict[str, Floats]]:
    """Draw a feature, what is sampled of it, and what each answerer predicts on its corpus."""
    shape = (N_WINDOWS, WINDOW)
    token = rng.random(shape) < TOKEN_SHARE
    active = token & (rng.random(shape) < CONTEXT_SHARE)
    density = float(active.mean())
    # each is active on occurrences of a token of its own
    another = ~token & (rng.random(shape) < TOKEN_SHARE * CONTEXT_SHARE)
    any_other = ~token & (rng.random(shape) < 1 - (1 - TOKEN_SHARE * CONTEXT_SHARE) ** N_OTHERS)
    predictions = {
        "perfect": active,
        "missing": active & (rng.random(shape) < 0.5),
        "false": active | (rng.random(shape) < density),
        "constant": np.ones(shape),
        "shuffled": another,
        "copied": rng.random(shape),
        "hedging": active | any_other,
    }
    activations = np.where(active, 1 + rng.exponential(size=shape), 0.0)
    sample = _sampled(activations, token, rng)
    return sample, {name: value.astype(np.float64) for name, value in predictions.items()}


def _sampled(activations: Floats, token: Bools, rng: Rng) -> Sample:
    active = activations > 0
    holds = active.any(axis=1)
    ours, rest = np.flatnonzero(holds), np.flatnonzero(~holds)
    near = np.flatnonzero(token.any(axis=1) & ~holds)
    flat, silent = activations.ravel(), np.flatnonzero((token & ~active).ravel())
    threshold = np.sort(flat)[-10:].mean() / 2
    strong = np.flatnonzero(flat >= threshold)
    return Sample(
        active=activations,
        windows=np.append(rng.choice(ours, N_ACTIVE, False), rng.choice(rest, N_RANDOM, False)),
        weights=np.repeat([len(ours) / N_ACTIVE, len(rest) / N_RANDOM], [N_ACTIVE, N_RANDOM]),
        near=rng.choice(near, N_NEAR, False),
        strong=rng.choice(strong, N_MARKED, False),
        silent=rng.choice(silent, N_MARKED, False),
    )


def _scores(sample: Sample, predicted: Floats) -> dict[str, float]:
    truth, said = sample.active[sample.windows].ravel(), predicted[sample.windows].ravel()
    weights = np.repeat(sample.weights, WINDOW)
    marked = predicted.ravel()[np.append(sample.strong, sample.silent)]
    top = np.concatenate([sample.windows[: 2 * N_ACTIVE], sample.near])
    r = float(signed_r(sample.active[top][None], predicted[top][None])[0][0])
    reference = (sample.active > 0).astype(np.float64)
    of_reference = float(signed_r(sample.active[top][None], reference[top][None])[0][0])
    largest = predicted.max(axis=1)
    return {
        "pearson": r,
        "pearson_of_reference": r / of_reference,
        "detection_auroc": auroc(largest[sample.windows[:N_ACTIVE]], largest[sample.near]),
        "matched_auroc": matched_auroc(
            marked, np.arange(2 * N_MARKED) < N_MARKED, np.zeros(2 * N_MARKED, dtype=np.int64)
        ),
        "weighted_r": weighted_r(truth, said, weights),
        "auprc": auprc(truth > 0, said, weights),
    }
