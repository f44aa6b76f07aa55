"""The mixture an adversary chooses, against optimisers and draws that know nothing of it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.metrics import recall_score
from tiny_nulls import columns

from introspect_bench.tasks.nulls.columns import folds
from introspect_bench.tasks.nulls.null import Thresholds, expected


def test_a_score_that_says_nothing_leaves_a_coin() -> None:
    """Half the root of the share of contents that are guessed."""
    rng = np.random.default_rng(0)
    changed = np.arange(4000) % 2 == 0
    right = rng.random(4000) < 0.36
    found = Thresholds(np.zeros(4000), changed).choose(right, np.ones(4000, dtype=bool))
    assert found.value == pytest.approx(0.5 * np.sqrt(right[changed].mean()))
    assert set(found.says_changed(np.zeros(4))) == {0.5}


@pytest.mark.parametrize("seed", range(5))
def test_no_other_rule_on_the_score_is_better(seed: int) -> None:
    """A chance of `changed` for every level of the score, set free, finds nothing above it."""
    rng = np.random.default_rng(seed)
    n, levels = 400, 5
    score = rng.integers(levels, size=n)
    changed = rng.random(n) < 0.2 + 0.15 * score
    right, stays = rng.random(n) < 0.4, rng.random(n) < 0.6
    found = Thresholds(score.astype(float), changed).choose(right, stays)

    def lost(chance: np.ndarray) -> float:
        said = chance[score]
        return -float((said * right)[changed].mean() * ((1 - said) * stays)[~changed].mean())

    best = max(
        -minimize(lost, rng.random(levels), bounds=[(0, 1)] * levels, method="L-BFGS-B").fun
        for _ in range(20)
    )
    assert np.sqrt(best) <= found.value + 0.03  # levels out of order may gain by overfitting
    monotone = max(np.sqrt(-lost(np.array(sorted(rng.random(levels))))) for _ in range(20_000))
    assert found.value >= monotone - 1e-9


def test_expectations_are_means_over_draws() -> None:
    rng = np.random.default_rng(1)
    n = 300
    changed, right, stays = (rng.random(n) < p for p in (0.5, 0.3, 0.7))
    chance = rng.random(n)
    said = rng.random((4000, n)) < chance
    exact = np.where(changed, said & right, ~said & stays)
    found = expected(chance, right, stays, changed)
    assert found["exact_match"] == pytest.approx(exact.mean(), abs=0.005)
    assert found["exact_match_changed"] == pytest.approx(exact[:, changed].mean(), abs=0.005)
    assert found["exact_match_unchanged"] == pytest.approx(exact[:, ~changed].mean(), abs=0.005)
    contents = np.where(said, right, stays)[:, changed].mean()
    assert found["content_match_changed"] == pytest.approx(contents, abs=0.005)


def test_a_sure_rule_scores_the_geometric_mean_of_recalls() -> None:
    rng = np.random.default_rng(2)
    changed, said = rng.random(200) < 0.5, rng.random(200) < 0.5
    every = np.ones(200, dtype=bool)
    found = expected(said.astype(float), every, every, changed)["balanced_exact_match"]
    recalls = recall_score(changed, said, average=None)
    assert found == pytest.approx(float(np.sqrt(np.prod(recalls))))


def test_one_verdict_always_is_nothing() -> None:
    changed = np.arange(10) % 2 == 0
    every = np.ones(10, dtype=bool)
    assert expected(np.zeros(10), every, every, changed)["balanced_exact_match"] == 0
    assert expected(np.zeros(5), every[:5], every[:5], np.ones(5, dtype=bool)) == {
        "balanced_exact_match": None,
        "exact_match": 0.0,
        "exact_match_changed": 0.0,
        "exact_match_unchanged": None,
        "content_match_changed": 1.0,
        "verdict_accuracy": 0.0,
    }


def test_folds_part_no_text_and_no_group() -> None:
    """Groups of four texts, some of which stand in two groups."""
    shown = [f"text {(5 * group + member) % 31}" for group in range(12) for member in range(4)]
    groups = np.repeat(np.arange(12), 4)
    rows = [{"text": text} for text in shown]
    found = folds(columns(rows, ["k"] * 48, shown, shown, groups, None), 3)
    by_text = {text: set(found[np.array(shown) == text]) for text in shown}
    assert all(len(one) == 1 for one in by_text.values())
    assert set(found) == {0, 1, 2}
    apart = [f"text {i}" for i in range(48)]
    rows = [{"text": text} for text in apart]
    found = folds(columns(rows, ["k"] * 48, apart, apart, groups, None), 5)
    assert all(len(set(found[groups == group])) == 1 for group in range(12))
    assert np.bincount(found).tolist() == [12, 12, 8, 8, 8]
