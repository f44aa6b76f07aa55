"""Ranks with intervals, letters, and the overall, against values worked out by hand."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from introspect_bench.benchmark.metrics.verdicts import FloatArray
from introspect_bench.benchmark.scoring.scale import Scale
from introspect_bench.leaderboard.site.ranking import (
    Headline,
    overall,
    rank_intervals,
    tie_letters,
    told_apart,
)

SUITES = Path(__file__).parents[3] / "tasks" / "suites" / "smollm2-135m"


def draws(
    values: Sequence[float], spread: float, *, shared: float = 0.0, seed: int = 0
) -> tuple[FloatArray, FloatArray]:
    """Values, and resamples around them that move together by `shared` and apart by `spread`."""
    rng = np.random.default_rng(seed)
    array = np.array(values, dtype=np.float64)
    together = shared * rng.normal(size=2000)
    return array, array[:, None] + together + spread * rng.normal(size=(len(array), 2000))


def test_entries_far_apart_have_one_rank_and_one_letter_each() -> None:
    places = rank_intervals(*draws([0.1, 0.9, 0.5], 0.01))
    assert [place.rank for place in places] == [3, 1, 2]
    assert [place.interval_95 for place in places] == [(3, 3), (1, 1), (2, 2)]
    assert [place.letters for place in places] == [("c",), ("a",), ("b",)]


def test_equal_values_share_rank_and_letter_exactly() -> None:
    values, resampled = draws([0.5, 0.5, 0.4], 0.001)
    resampled[1] = resampled[0]
    places = rank_intervals(values, resampled)
    assert [place.rank for place in places] == [1, 1, 3]
    assert [place.interval_95 for place in places] == [(1, 2), (1, 2), (3, 3)]
    assert [place.letters for place in places] == [("a",), ("a",), ("b",)]


def test_ranks_are_counted_on_every_resample() -> None:
    # The second is best on 100 of 1,000 resamples: above 2.5 %, so both may be first or second.
    resampled = np.stack([np.full(1000, 0.5), np.repeat([0.6, 0.4], [100, 900])])
    values = np.array([0.5, 0.42])
    assert [p.interval_95 for p in rank_intervals(values, resampled)] == [(1, 2), (1, 2)]
    # on 20 of 1,000 it is not
    resampled[1] = np.repeat([0.6, 0.4], [20, 980])
    assert [p.interval_95 for p in rank_intervals(values, resampled)] == [(1, 1), (2, 2)]


def test_what_moves_together_is_told_apart() -> None:
    # Intervals of both are +-0.2, but their difference hardly moves.
    values, resampled = draws([0.50, 0.53], 0.005, shared=0.1)
    assert told_apart(values, resampled)[0, 1]
    apart, free = draws([0.50, 0.53], 0.1)
    assert not told_apart(apart, free)[0, 1]


def test_a_difference_that_never_moves_is_told_apart_unless_it_is_nothing() -> None:
    _, one = draws([0.5], 0.1)
    resampled = np.stack([one[0], one[0], one[0] - 0.25])
    apart = told_apart(np.array([0.5, 0.5, 0.25]), resampled)
    assert apart.tolist() == [[False, False, True], [False, False, True], [True, True, False]]


def test_a_chain_shares_letters_link_by_link() -> None:
    # a-b and b-c cannot be told apart, a-c can: b has both letters.
    apart = np.zeros((3, 3), dtype=np.bool_)
    apart[0, 2] = apart[2, 0] = True
    assert tie_letters(np.array([0.3, 0.2, 0.1]), apart) == (("a",), ("a", "b"), ("b",))


@pytest.mark.parametrize("seed", range(8))
def test_two_entries_share_a_letter_if_and_only_if_they_are_not_told_apart(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 40
    apart = rng.random((n, n)) < (0.1, 0.5, 0.9)[seed % 3]
    apart = apart | apart.T
    np.fill_diagonal(apart, False)
    letters = [set(found) for found in tie_letters(rng.random(n), apart)]
    assert all(letters)
    for i in range(n):
        for j in range(n):
            assert bool(letters[i] & letters[j]) is not bool(apart[i, j])


def test_letters_go_on_after_z() -> None:
    apart = ~np.eye(30, dtype=np.bool_)
    letters = tie_letters(np.arange(30.0)[::-1], apart)
    assert [found[0] for found in letters][24:30] == ["y", "z", "aa", "ab", "ac", "ad"]


def test_equal_explainers_are_told_apart_on_few_boards() -> None:
    # twelve equal explainers: an error of estimation, and resamples of the same spread around it
    wrong = 0
    for seed in range(200):
        error = 0.1 * np.random.default_rng([7, seed]).normal(size=12)
        wrong += bool(told_apart(*draws(list(error), 0.1, shared=0.2, seed=seed)).any())
    assert wrong <= 20  # 5 % of 200 is 10


def test_near_copies_do_not_blur_the_others() -> None:
    # The first two differ by 4 standard errors. Twenty copies of the third, each of which differs
    # from it on one query of 1,000, are 231 pairs: Holm's bound on them is at 3.7 errors.
    rng = np.random.default_rng(0)
    hits = rng.random((3, 1000)) < 0.5
    weights = rng.multinomial(1000, np.full(1000, 1 / 1000), size=2000) / 1000
    resampled = hits @ weights.T
    values = hits.mean(axis=1)
    values[0] = values[1] + 4 * (resampled[0] - resampled[1]).std()
    copies = hits[2] ^ np.eye(1000, dtype=np.bool_)[:20]
    values = np.concatenate([values, copies.mean(axis=1)])
    apart = told_apart(values, np.concatenate([resampled, copies @ weights.T]))
    assert apart[0, 1]
    assert not apart[2:, 2:].any()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_not_ranked(bad: float) -> None:
    values, resampled = draws([0.1, 0.2], 0.1)
    with pytest.raises(ValueError, match="NaN or infinite"):
        rank_intervals(np.array([0.1, bad]), resampled)
    resampled[1, 5] = bad
    with pytest.raises(ValueError, match="NaN or infinite"):
        rank_intervals(values, resampled)


def test_other_shapes_are_not_ranked() -> None:
    values, resampled = draws([0.1, 0.2], 0.1)
    for bad in (resampled[0], resampled[:1], resampled[:, :1]):
        with pytest.raises(ValueError, match="resamples"):
            rank_intervals(values, bad)
    with pytest.raises(ValueError, match="resamples"):
        rank_intervals(values[:0], resampled[:0])


def test_one_entry_is_first() -> None:
    (place,) = rank_intervals(*draws([0.3], 0.1))
    assert (place.rank, place.interval_95, place.letters) == (1, (1, 1), ("a",))


def test_two_hundred_entries_take_under_ten_seconds() -> None:
    start = time.perf_counter()
    places = rank_intervals(*draws(list(np.linspace(0, 1, 200)), 0.02))
    assert time.perf_counter() - start < 10
    assert [place.rank for place in places] == list(range(200, 0, -1))


def one_task(value: float, seed: int = 0, spread: float = 0.02) -> Headline:
    rng = np.random.default_rng(seed)
    return Headline(value=value, resampled=value + spread * rng.normal(size=2000))


SCALES = {"a": Scale(floor=0.1, ceiling=0.9), "b": Scale(floor=0.0, ceiling=0.5)}


def test_overall_worked_out_by_hand() -> None:
    # (0.5 - 0.1) / 0.8 = 0.5 and 0.1 / 0.5 = 0.2, mean 0.35; the errors are 0.02 / 0.8 = 0.025 and
    # 0.02 / 0.5 = 0.04, so that of the mean is sqrt(0.025 ** 2 + 0.04 ** 2) / 2 = 0.0236
    found = overall({"a": one_task(0.5), "b": one_task(0.1, seed=1), "c": one_task(9)}, SCALES)
    assert found is not None
    assert found.value == pytest.approx(0.35)
    assert found.by_task == pytest.approx({"a": 0.5, "b": 0.2})
    assert found.interval_95 == pytest.approx(
        (0.35 - 1.96 * 0.0236, 0.35 + 1.96 * 0.0236), abs=0.004
    )
    assert found.resampled.shape == (2000,)


def test_overall_is_not_clipped() -> None:
    found = overall({"a": one_task(0.02), "b": one_task(0.6)}, SCALES)
    assert found is not None
    assert found.by_task == pytest.approx({"a": -0.1, "b": 1.2})


def test_without_a_task_there_is_no_overall() -> None:
    assert overall({"a": one_task(0.5)}, SCALES) is None
    assert overall({}, SCALES) is None
    with pytest.raises(ValueError, match="no task"):
        overall({"a": one_task(0.5)}, {})


def test_a_few_resamples_without_a_value_are_left_out() -> None:
    values = one_task(0.5).resampled.copy()
    values[:20] = np.nan  # 1 % of 2,000
    found = overall({"a": Headline(value=0.5, resampled=values), "b": one_task(0.1)}, SCALES)
    assert found is not None
    assert found.resampled.shape == (1980,)
    values[20] = np.nan
    assert overall({"a": Headline(value=0.5, resampled=values), "b": one_task(0.1)}, SCALES) is None
    assert overall({"a": one_task(float("nan")), "b": one_task(0.1)}, SCALES) is None


def test_overall_of_what_is_infinite_is_refused() -> None:
    for bad in (one_task(float("inf")), Headline(value=0.1, resampled=np.full(2000, np.inf))):
        with pytest.raises(ValueError, match="infinite"):
            overall({"a": bad, "b": one_task(0.1)}, SCALES)
    short = Headline(value=0.1, resampled=np.zeros(10))
    with pytest.raises(ValueError, match="resampled differently"):
        overall({"a": short, "b": one_task(0.1)}, SCALES)
