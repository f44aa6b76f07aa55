"""Metrics of contextual descriptions against scikit-learn and numpy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import average_precision_score, roc_auc_score

from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.metrics.activations import auprc, matched_auroc, weighted_r


@pytest.mark.parametrize("seed", range(10))
def test_matched_auroc_is_that_of_each_match_by_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    match = np.append(rng.integers(0, 4, 40), 9)  # the last token has no pair
    strong = np.append(rng.random(40) < 0.4, True)
    predicted = np.append(rng.integers(0, 5, 40).astype(float), 3.0)
    total, pairs = 0.0, 0
    for one in range(4):
        own = match == one
        n = int(strong[own].sum() * (~strong[own]).sum())
        if n:
            total += n * roc_auc_score(strong[own], predicted[own])
            pairs += n
    found = matched_auroc(predicted, strong, match)
    assert found == pytest.approx(2 * total / pairs - 1)
    # who reads what was matched, and who says nothing, stands at 0; the truth at 1
    assert matched_auroc(np.sin(match * 7.0), strong, match) == 0
    assert matched_auroc(np.zeros(41), strong, match) == 0
    assert matched_auroc(strong.astype(float), strong, match) == 1
    assert matched_auroc(-strong.astype(float), strong, match) == -1
    whole = matched_auroc(predicted, strong, np.zeros(41, dtype=np.int64))
    assert whole == pytest.approx(2 * roc_auc_score(strong, predicted) - 1)


@pytest.mark.parametrize("seed", range(10))
def test_weighted_r_is_that_of_tokens_as_often_as_they_stand_for(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.maximum(rng.normal(size=50), 0)
    predicted = truth + rng.normal(size=50)
    weights = rng.integers(0, 5, 50)
    repeated = pearsonr(np.repeat(truth, weights), np.repeat(predicted, weights)).statistic
    assert weighted_r(truth, predicted, weights.astype(float)) == pytest.approx(repeated)
    shares = 0.37 * weights.astype(np.float64)
    covariance = np.cov(truth, predicted, aweights=shares)
    r = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
    assert weighted_r(truth, predicted, shares) == pytest.approx(r)
    assert weighted_r(truth, -predicted, weights.astype(float)) == pytest.approx(-repeated)


def test_what_is_constant_where_there_is_weight_does_not_correlate() -> None:
    truth, weights = np.array([0.0, 1, 2, 3]), np.array([1.0, 1, 1, 0])
    assert weighted_r(truth, np.array([0.1, 0.1, 0.1, 5]), weights) == 0
    assert weighted_r(np.array([0.0, 0, 0, 1]), truth, weights) == 0
    assert weighted_r(truth, 3 * truth + 1, weights) == pytest.approx(1)


@pytest.mark.parametrize("seed", range(10))
def test_auprc_agrees_with_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    active = np.append(rng.random(60) < 0.2, True)
    predicted = rng.integers(0, 6, 61).astype(float)  # many are predicted alike
    weights = np.append(rng.random(60) * (rng.random(60) < 0.8), 1.0)
    expected = average_precision_score(active, predicted, sample_weight=weights)
    assert auprc(active, predicted, weights) == pytest.approx(expected)
    share = (weights * active).sum() / weights.sum()
    assert auprc(active, np.full(61, 0.3), weights) == pytest.approx(share)
    assert auprc(active, active.astype(float), weights) == pytest.approx(1)


def test_what_has_no_value_is_refused() -> None:
    numbers, flags = np.array([1.0, 2.0]), np.array([True, False])
    with pytest.raises(UsageError, match="no pair"):
        matched_auroc(numbers, flags, np.array([0, 1]))
    with pytest.raises(UsageError, match=r"predictions \(2,\)"):
        matched_auroc(numbers, flags, np.array([0]))
    with pytest.raises(UsageError, match="not a finite number"):
        matched_auroc(np.array([1.0, np.nan]), flags, np.array([0, 0]))
    for weights in (np.array([0.0, 0.0]), np.array([1.0, -1.0])):
        with pytest.raises(UsageError, match="weights of sampling"):
            weighted_r(numbers, numbers, weights)
    with pytest.raises(UsageError, match="not a finite number"):
        weighted_r(np.array([1.0, np.inf]), numbers, numbers)
    with pytest.raises(UsageError, match=r"truth \(2,\)"):
        auprc(flags, numbers, np.ones(3))
    with pytest.raises(UsageError, match="no active token has weight"):
        auprc(flags, numbers, np.array([0.0, 1.0]))
