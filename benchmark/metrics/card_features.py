"""What each metric makes of descriptions that are known to be worth something or nothing.

The simulated corpora and answerers of the metric card, as in `card_tests.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..scoring.judged import score_feature
from ..suite.features import MATCHED, WINDOW, WINDOWS
from .activations import auprc
from .card_tests import SEED, TESTS, Rng

N_FEATURES = 40  # Features, each with its own corpus
N_WINDOWS = 2000  # Windows of a corpus
# How common a feature's token is, and on which share of its occurrences the feature is active
TOKEN_SHARE, CONTEXT_SHARE = 0.02, 0.25
N_OTHERS = 19  # Descriptions of other features that a hedging one adds to the true one

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What is scored of one feature."""

    windows: npt.NDArray[np.int64]  # Places in the corpus, (16,): matched ones, then random
    own: Mapping[str, npt.NDArray[Any]]  # What a suite holds of these, as `score_feature` reads it


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
        "echo": np.zeros(shape),
        "hedging": active | any_other,
        "two answers": active | another,
        "look-alike": token,
    }
    activations = np.where(active, 1 + rng.exponential(size=shape), 0.0)
    sample = _sampled(activations, token, rng)
    return sample, {name: value.astype(np.float64) for name, value in predictions.items()}


def _sampled(activations: Floats, token: Bools, rng: Rng) -> Sample:
    """Sample as a suite does: marked strong and silent tokens, active and other windows."""
    each, half = (WINDOWS - MATCHED) // 2, MATCHED // 2
    holds = (activations > 0).any(axis=1)
    sides = np.flatnonzero(holds), np.flatnonzero(~holds)
    flat = activations.ravel()
    strong = np.flatnonzero(flat >= np.sort(flat)[-10:].mean() / 2)
    silent = np.flatnonzero((token & (activations == 0)).ravel())
    marked = np.append(rng.choice(strong, half, False), rng.choice(silent, half, False))
    drawn = np.concatenate([rng.choice(side, each, False) for side in sides])
    windows = np.append(marked // WINDOW, drawn)
    none = np.full(2 * each, -1)
    shares = np.repeat([len(side) / each / N_WINDOWS for side in sides], each)
    own = {
        "marks": np.append(marked % WINDOW, none),
        "pair_group": np.append(np.zeros(MATCHED, dtype=np.int64), none),
        "strong": np.arange(WINDOWS) < half,
        "weights": np.append(np.zeros(MATCHED), shares),
        "activations": activations[windows],
    }
    return Sample(windows=windows, own=own)


def _scores(sample: Sample, predicted: Floats) -> dict[str, float]:
    said = predicted[sample.windows]
    found = score_feature(sample.own, said)
    assert found.matched_auroc is not None
    weights = np.repeat(sample.own["weights"], WINDOW)
    active = sample.own["activations"].ravel() > 0
    return {
        "matched_auroc": found.matched_auroc,
        "weighted_r": found.weighted_r,
        "auprc": auprc(active, said.ravel(), weights),
    }
