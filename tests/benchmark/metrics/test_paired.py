"""Differences on the same queries, against values worked out by hand and simulated cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from math import comb

import numpy as np
import pytest
from scipy import stats
from tiny_tables import answers, described

from introspect_bench.benchmark.metrics.bootstrap import bootstrap, check_same_queries, resample
from introspect_bench.benchmark.metrics.paired import (
    NOISE,
    RIGHT,
    compare,
    mcnemar,
    minimum_detectable,
    permutation_test,
)
from introspect_bench.benchmark.metrics.verdicts import METRICS, evaluate


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_mcnemar_worked_out_by_hand() -> None:
    # 8 queries only the first has right, 2 only the second, 5 both, 5 neither. Of 10 coin tosses,
    # 8 or more fall to one side with 2 (1 + 10 + 45) / 1024.
    first = np.array([1] * 8 + [0] * 2 + [1] * 5 + [0] * 5, dtype=np.bool_)
    second = np.array([0] * 8 + [1] * 2 + [1] * 5 + [0] * 5, dtype=np.bool_)
    found = mcnemar(first, second)
    assert (found.first_only, found.second_only) == (8, 2)
    assert found.p == pytest.approx(2 * (comb(10, 8) + comb(10, 9) + comb(10, 10)) / 2**10)
    assert mcnemar(second, first).p == found.p
    assert mcnemar(first, first).p == 1
    with pytest.raises(ValueError, match="units of shape"):
        mcnemar(first, second[:3])


def test_every_metric_that_is_a_share_of_units_is_that_share() -> None:
    table = answers(
        [1, 1, 0, 1, 1, 1, 0, 0],
        groups=[0, 0, 0, 0, 1, 1, 2, 2],
        changed=[1, 0, 1, 0, 1, 1, 0, 1],
        kinds=["hint", "hint", "hint", "hint", "which", "which", "hint", "which"],
    )
    for name, units in RIGHT.items():
        assert units(table).mean() == evaluate(name, table)
    assert RIGHT["group_consistency"](table).tolist() == [False, True, False]


def test_permutation_of_groups_worked_out_by_hand() -> None:
    # Three groups of two. The first has all of groups 0 and 1 right and half of group 2; the second
    # has nothing. Swapping group g moves its part of the difference to the other side: the eight
    # differences are (+-2 +-2 +-1) / 6, and two of them are as far from 0 as the observed 5/6.
    first = answers([1, 1, 1, 1, 1, 0], groups=[0, 0, 1, 1, 2, 2])
    second = answers([0] * 6, groups=[0, 0, 1, 1, 2, 2])
    assert permutation_test(first, second, "exact_match", rng=rng()) == pytest.approx(2 / 8)
    # Were queries independent there would be 2**5 swaps that matter, of which 2 are as far.
    one, other = (replace(table, group=np.arange(6)) for table in (first, second))
    assert permutation_test(one, other, "exact_match", rng=rng()) == pytest.approx(2 / 32)


@pytest.mark.parametrize("name", ["has_changed_macro_f1", "balanced_exact_match", "kind_mean"])
def test_permutation_recomputes_a_metric_that_is_no_mean(name: str) -> None:
    true = [1, 1, 0, 0, 1, 0, 1, 0, 1, 1]
    groups = [0, 0, 1, 1, 2, 2, 3, 3, 0, 2]
    kinds = ["hint", "context"] * 4 + ["which"] * 2
    true[2:6] = [0, 0, 1, 1]  # both kinds have both classes
    first = answers([1, 0, 1, 1, 1, 1, 0, 1, 1, 0], groups=groups, changed=true, kinds=kinds)
    second = answers([0, 0, 1, 0, 1, 0, 0, 1, 0, 1], groups=groups, changed=true, kinds=kinds)
    metric = METRICS[name]

    def difference(swapped: Sequence[bool]) -> float:
        """By really exchanging the answers."""
        take = np.array(swapped)[np.array(groups)]
        tables = []
        for own, other in ((first, second), (second, first)):
            pred = np.where(take, other.pred_changed, own.pred_changed)
            exact = np.where(take, other.exact, own.exact)
            tables.append(replace(own, pred_changed=pred, exact=exact))
        ones = np.ones(10)
        return float(metric(tables[0], ones) - metric(tables[1], ones))

    every = [difference(swapped) for swapped in product([False, True], repeat=4)]
    observed = every[0]
    as_far = sum(abs(value) >= abs(observed) - 1e-12 for value in every)
    assert observed
    assert permutation_test(first, second, name, rng=rng()) == pytest.approx(as_far / 16)


def test_permutation_agrees_with_a_paired_test_of_many_queries() -> None:
    draw = rng(1)
    base = draw.normal(size=400)
    r = [np.clip((base + draw.normal(size=400) + shift) / 8, -1, 1) for shift in (0.0, 0.15)]
    first, second = (described(list(values)) for values in r)
    found = permutation_test(first, second, "weighted_r", rng=rng())
    assert found == pytest.approx(float(stats.ttest_rel(r[0], r[1]).pvalue), abs=0.01)


def test_drawn_permutations_are_never_certain() -> None:
    first, second = answers([1] * 40), answers([0] * 40)
    found = permutation_test(first, second, "exact_match", rng=rng(), n_permutations=99)
    assert found == pytest.approx(
        2 / 100
    )  # each tail counts the observed one: 2 (0 + 1) / (99 + 1)


def test_paired_interval_is_the_normal_one() -> None:
    # 300 queries only the first has right, 200 only the second, of 1,000: the differences have mean
    # 0.1 and variance 0.5 - 0.1 ** 2 = 0.49, so the standard error is sqrt(0.49 / 1000).
    first = answers([1] * 300 + [0] * 200 + [1] * 250 + [0] * 250)
    second = answers([0] * 300 + [1] * 200 + [1] * 250 + [0] * 250)
    found = compare(first, second, "exact_match", rng=rng(), n_permutations=99)
    error = np.sqrt(0.49 / 1000)
    assert found.value == pytest.approx(0.1)
    assert found.interval_95 == pytest.approx((0.1 - 1.96 * error, 0.1 + 1.96 * error), abs=0.004)
    assert found.minimum_detectable == pytest.approx((1.96 + 0.8416) * error, rel=0.05)
    assert found.mcnemar is not None
    assert found.p == found.mcnemar.p
    assert (found.n, found.n_groups) == (1000, 1000)


def test_groups_that_go_together_count_once() -> None:
    # Each query copied four times: McNemar takes them for evidence, interval and swaps do not.
    single = [answers([1] * 30 + [0] * 20 + [1] * 50), answers([0] * 30 + [1] * 20 + [1] * 50)]
    copied = [
        answers(np.repeat(t.exact, 4).tolist(), groups=np.repeat(t.group, 4).tolist())
        for t in single
    ]
    one = compare(single[0], single[1], "exact_match", rng=rng(), n_permutations=999)
    four = compare(copied[0], copied[1], "exact_match", rng=rng(), n_permutations=999)
    assert four.interval_95 == one.interval_95
    assert four.p_permutation == one.p_permutation
    assert four.minimum_detectable == one.minimum_detectable
    assert one.p is not None
    assert four.p is not None
    assert four.p < 0.01 < 0.1 < one.p


def test_a_metric_that_is_no_share_is_tested_by_swapping() -> None:
    first, second = described([0.5, 0.25, 0.75]), described([0, 0.5, 0.25])
    found = compare(first, second, "weighted_r", rng=rng())
    assert found.mcnemar is None
    # (+-0.5 -+0.25 +-0.5) / 3: observed 0.25; of the 8 sums +-0.5 +-0.25 +-0.5 those as far from 0
    # as 0.75 are 1.25, 0.75 and their opposites
    assert found.p == found.p_permutation == pytest.approx(4 / 8)


def test_explainers_that_answer_alike_say_nothing_of_what_could_be_seen() -> None:
    table = answers([1, 0, 1, 0] * 10, groups=np.repeat(np.arange(10), 4).tolist())
    found = compare(table, table, "exact_match", rng=rng())
    assert (found.value, found.interval_95) == (0, (0, 0))
    assert (found.p, found.p_permutation) == (1, 1)
    assert found.minimum_detectable is None


def test_one_group_has_no_interval() -> None:
    found = compare(
        answers([1, 1], groups=[0, 0]), answers([0, 1], groups=[0, 0]), "exact_match", rng=rng()
    )
    assert (found.value, found.interval_95, found.minimum_detectable) == (0.5, None, None)
    assert found.p_permutation == 1


def test_a_metric_without_a_value_has_no_difference() -> None:
    first, second = (
        replace(described(values), marked=np.zeros(2, dtype=np.bool_))
        for values in ([0.5, 0.2], [0.1, 0.3])
    )
    found = compare(first, second, "matched_auroc", rng=rng())
    assert (found.value, found.interval_95, found.p) == (None, None, None)


def test_the_same_runs_give_the_same_difference() -> None:
    draw = rng(3)
    first, second = (answers((draw.random(120) < 0.5).astype(int).tolist()) for _ in range(2))
    found = [compare(first, second, "exact_match", rng=rng(), n_permutations=99) for _ in "ab"]
    assert found[0] == found[1]


def test_all_tables_are_resampled_alike() -> None:
    draw = rng(4)
    first, second = (
        answers((draw.random(80) < share).astype(int).tolist()) for share in (0.3, 0.6)
    )
    both = resample([first, second, first], ["exact_match"], rng=rng())["exact_match"]
    assert both.shape == (3, 2000)
    assert (both[0] == both[2]).all()
    assert not np.allclose(both[0], both[1])
    # one table alone is drawn in the same way, so `score` and `compare` agree
    alone = bootstrap(second, ["exact_match"], rng=rng())
    assert alone is not None
    assert alone["exact_match"] == tuple(np.quantile(both[1], [0.025, 0.975]))


def test_tables_of_different_queries_are_refused() -> None:
    table = answers([1, 0, 1, 0], groups=[0, 0, 1, 1])
    for other in (
        answers([1, 0, 1]),
        answers([1, 0, 1, 0], groups=[0, 1, 1, 0]),
        answers([1, 0, 1, 0], groups=[0, 0, 1, 1], changed=[1, 1, 0, 1]),
    ):
        with pytest.raises(ValueError, match="different queries"):
            check_same_queries([table, other])
        with pytest.raises(ValueError, match="different queries"):
            compare(table, other, "exact_match", rng=rng())
    with pytest.raises(ValueError, match="different queries"):
        check_same_queries([described([1]), described([1, 1])])
    with pytest.raises(ValueError, match="different kinds"):
        check_same_queries([table, described([1])])
    with pytest.raises(ValueError, match="no table"):
        resample([], ["exact_match"], rng=rng())


def test_a_few_resamples_without_a_class_are_left_out_and_many_end_the_interval() -> None:
    # one group of n holds the only changed query: a share (1 - 1/n)**n of resamples lacks it,
    # 37 % of them; with five such groups of n it is (1 - 5/n)**n, 0.6 %
    for lone, has_interval in ((1, False), (5, True)):
        changed = [1] * lone + [0] * (200 - lone)
        first = answers([1] * 150 + [0] * 50, changed=changed)
        second = answers([1, *[0] * 99, *[1] * 100], changed=changed)
        for name in ("balanced_exact_match", "exact_match_changed"):
            found = compare(first, second, name, rng=rng(), n_permutations=99)
            assert found.value is not None
            assert (found.interval_95 is not None) == has_interval
            assert (found.minimum_detectable is not None) == (has_interval and lone > 1)
            alone = bootstrap(first, [name], rng=rng())
            assert alone is not None
            assert np.isfinite(alone[name]).all() == has_interval
    # no query of the class at all: no value, no test
    found = compare(answers([1, 0]), answers([0, 1]), "balanced_exact_match", rng=rng())
    assert (found.value, found.interval_95, found.p, found.mcnemar) == (None, None, None, None)
    found = compare(answers([1, 0]), answers([0, 1]), "which_accuracy", rng=rng())
    assert (found.value, found.mcnemar) == (None, None)


def test_minimum_detectable_difference_is_found_four_times_of_five() -> None:
    # One query a group, difference of two independent coins: variance 2 p (1 - p) = 0.5, n = 500.
    draw = rng(5)
    moved = draw.normal(scale=np.sqrt(0.5 / 500), size=4000)
    wanted = minimum_detectable(moved)
    assert wanted is not None
    found = 0
    for _ in range(300):
        first = draw.random(500) < 0.5 + wanted / 2
        second = draw.random(500) < 0.5 - wanted / 2
        found += stats.ttest_rel(first.astype(float), second.astype(float)).pvalue < 0.05
    assert 0.74 <= found / 300 <= 0.86
    assert minimum_detectable(np.full(10, 0.25) + NOISE / 4 * np.arange(2).repeat(5)) is None


def test_intervals_of_clustered_differences_cover_the_truth() -> None:
    # 60 groups of four that are won and lost together; the full count is in coverage/differences.py
    hits = 0
    for seed in range(150):
        draw = rng(seed)
        hard = draw.normal(size=(60, 1))
        tables = []
        for shift in (0.0, 0.3):
            own = 0.6 * draw.normal(size=(60, 1)) + draw.normal(size=(60, 4))
            hit = (hard + own + shift > 0).ravel().astype(int).tolist()
            tables.append(answers(hit, groups=np.repeat(np.arange(60), 4).tolist()))
        spread = np.sqrt(1 + 0.6**2 + 1)
        truth = stats.norm.cdf(0) - stats.norm.cdf(0.3 / spread)
        values = resample(tables, ["exact_match"], rng=draw, n_resamples=500)["exact_match"]
        low, high = np.quantile(values[0] - values[1], [0.025, 0.975])
        hits += low <= truth <= high
    assert 0.89 <= hits / 150 <= 0.985
