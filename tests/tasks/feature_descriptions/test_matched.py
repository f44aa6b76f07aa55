"""Matched occurrences, their windows and scores, against scikit-learn, scipy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from introspect_bench.benchmark.scoring.judged import score_feature
from introspect_bench.tasks.feature_descriptions.build.matched import (
    EARLIEST,
    PAIRS,
    RANDOM,
    Index,
    bigram_keys,
    choose,
    flags_auroc,
    match,
    strong_level,
    token_keys,
)


def text(n: int = 60, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, (n, 32)).astype(np.int32)


def active(ids: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A feature that is active after token 3, with varying strength."""
    flat = ids.ravel()
    before = np.concatenate([[-1], flat[:-1]])
    before[::32] = -1
    rows = np.flatnonzero(before == 3)
    rng = np.random.default_rng(seed)
    rows = rows[rng.random(len(rows)) < 0.7]
    return rows, (1 + rng.random(len(rows)) * 3).astype(np.float32)


def test_keys_name_the_token_and_the_one_before() -> None:
    ids = np.zeros((2, 32), dtype=np.int32)
    ids[:, 5:7] = [7, 9]
    assert token_keys(ids)[6] == 9
    keys = bigram_keys(ids)
    assert keys[0] == keys[32] == -1
    assert keys[6] == keys[38] == (8 << 32) + 9
    assert len({*keys.tolist()}) == 5  # none, 0 0, 0 7, 7 9, 9 0


@pytest.mark.parametrize("keys_of", [token_keys, bigram_keys])
def test_groups_hold_strong_and_exactly_silent_occurrences(keys_of: object) -> None:
    ids = text()
    rows, values = active(ids)
    level = strong_level(values)
    assert level == pytest.approx(np.sort(values)[-10:].mean() / 2)
    keys = keys_of(ids)  # type: ignore[operator]
    groups = match(Index(keys), rows, values, level)
    assert len(groups.keys)
    strong = dict(zip(rows.tolist(), values.tolist(), strict=True))
    for row, group in zip(groups.strong, groups.strong_group, strict=True):
        assert strong[row] >= level
        assert keys[row] == groups.keys[group]
        assert row % 32 >= EARLIEST
    for row, group in zip(groups.silent, groups.silent_group, strict=True):
        assert row not in strong
        assert keys[row] == groups.keys[group]


def test_flags_and_pairs_are_the_auroc_of_scikit_learn() -> None:
    ids = text()
    rows, values = active(ids)
    groups = match(Index(token_keys(ids)), rows, values, strong_level(values))
    flags = np.random.default_rng(1).random(ids.size) < 0.3
    expected = []
    for number in range(len(groups.keys)):
        high = groups.strong[groups.strong_group == number]
        low = groups.silent[groups.silent_group == number]
        truth = [1] * len(high) + [0] * len(low)
        expected.append(roc_auc_score(truth, flags[[*high, *low]]))
    assert flags_auroc(groups, flags) == pytest.approx(np.average(expected, weights=groups.pairs))


def test_a_reader_of_the_token_is_at_one_half() -> None:
    ids = text()
    rows, values = active(ids)
    by_token = np.random.default_rng(3).random(4)
    groups = match(Index(token_keys(ids)), rows, values, strong_level(values))
    peaks = np.zeros(len(ids), dtype=np.float32)
    np.maximum.at(peaks, rows // 32, values)
    peaks[:20] = 0  # windows in which it is silent, for the draw alone
    chosen = choose(groups, peaks, rng=np.random.default_rng(0))
    assert chosen is not None
    predicted = by_token[ids[chosen.windows]].astype(np.float32)
    own = {
        "marks": chosen.marks,
        "strong": chosen.strong,
        "pair_group": chosen.group,
        "weights": chosen.weights,
        "activations": predicted,
    }
    assert score_feature(own, predicted).matched_auroc == 0


def test_windows_are_distinct_and_marked_and_weighted() -> None:
    ids = text()
    rows, values = active(ids)
    groups = match(Index(bigram_keys(ids)), rows, values, strong_level(values))
    peaks = np.zeros(len(ids), dtype=np.float32)
    np.maximum.at(peaks, rows // 32, values)
    peaks[:20] = 0  # windows in which it is silent, for the draw alone
    chosen = choose(groups, peaks, rng=np.random.default_rng(0))
    assert chosen is not None
    own = chosen.windows[: 2 * PAIRS]
    assert len(set(own.tolist())) == 2 * PAIRS
    marked = own * 32 + chosen.marks[: 2 * PAIRS]
    assert np.isin(marked[chosen.strong[: 2 * PAIRS]], groups.strong).all()
    assert np.isin(marked[~chosen.strong[: 2 * PAIRS]], groups.silent).all()
    keys = bigram_keys(ids)[marked]
    assert [*keys[0::2]] == [*keys[1::2]]
    assert (chosen.marks[2 * PAIRS :] == -1).all()
    assert chosen.weights.sum() == pytest.approx(1)
    assert (peaks[chosen.windows[2 * PAIRS : 2 * PAIRS + RANDOM]] > 0).all()
    assert (peaks[chosen.windows[2 * PAIRS + RANDOM :]] == 0).all()


def test_a_feature_without_four_pairs_has_no_windows() -> None:
    ids = text(3)
    rows, values = active(ids)
    groups = match(Index(token_keys(ids)), rows, values, strong_level(values))
    assert choose(groups, np.ones(3, dtype=np.float32), rng=np.random.default_rng(0)) is None


def test_a_feature_of_the_token_has_random_windows_alone() -> None:
    peaks = np.arange(40, dtype=np.float32)
    peaks[:15] = 0
    chosen = choose(None, peaks, rng=np.random.default_rng(0))
    assert chosen is not None
    assert len(set(chosen.windows.tolist())) == 16
    assert (peaks[chosen.windows] > 0).tolist() == [True] * 8 + [False] * 8
    np.testing.assert_allclose(chosen.weights * 40, [25 / 8] * 8 + [15 / 8] * 8)
    assert (chosen.marks == -1).all()
    assert choose(None, peaks[8:], rng=np.random.default_rng(0)) is None


def test_weights_make_the_random_windows_stand_for_the_text() -> None:
    rng = np.random.default_rng(4)
    truth, told = rng.random((2, 6, 32)).astype(np.float32)
    counts = np.array([1, 3, 0, 2, 1, 0])
    repeated = [np.repeat(side, counts, axis=0).ravel() for side in (truth, told)]
    expected = np.corrcoef(repeated[0], repeated[1])[0, 1]
    own = {"marks": np.full(6, -1), "weights": counts, "activations": truth}
    found = score_feature(own, told)
    assert found.weighted_r == pytest.approx(expected, abs=1e-6)
    assert found.matched_auroc is None
    assert score_feature(own, np.ones_like(told)).weighted_r == 0
