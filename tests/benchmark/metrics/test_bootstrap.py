from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest

from introspect_bench.benchmark.metrics.bootstrap import bootstrap, resample
from introspect_bench.benchmark.metrics.descriptions import METRICS as DESCRIPTION_METRICS
from introspect_bench.benchmark.metrics.verdicts import METRICS, ScoreTable, evaluate

CAUSAL = [name for name in METRICS if name not in DESCRIPTION_METRICS]


def table_of(exact: np.ndarray, group: np.ndarray) -> ScoreTable:
    """A table in which every query changes and answers right or says unchanged."""
    hit = exact.astype(np.bool_)
    return ScoreTable(
        exact=hit,
        content=hit,
        true_changed=np.ones(len(hit), dtype=np.bool_),
        pred_changed=hit.astype(np.int8),
        kind=np.full(len(hit), "k"),
        group=group.astype(np.int64),
    )


def random_table(n_groups: int, size: int, seed: int, share: float = 0.6) -> ScoreTable:
    rng = np.random.default_rng(seed)
    return table_of(rng.random(n_groups * size) < share, np.repeat(np.arange(n_groups), size))


def ends(table: ScoreTable, seed: int = 0) -> tuple[float, float]:
    found = bootstrap(table, ["exact_match"], rng=np.random.default_rng(seed))
    assert found is not None
    return found["exact_match"]


def test_same_seed_same_interval_other_seed_another() -> None:
    table = random_table(40, 4, seed=1)
    assert ends(table) == ends(table)
    assert ends(table) != ends(table, seed=1)


def test_draws_are_those_of_a_generator_that_nobody_asked_before() -> None:
    table = random_table(40, 4, seed=1)
    rng, again = np.random.default_rng(7), np.random.default_rng(7)
    plain = np.random.default_rng(7)
    values = resample([table], ["exact_match"], rng=rng, n_resamples=600)["exact_match"][0]
    counts = plain.multinomial(40, np.full(40, 1 / 40), size=600)
    weights = counts[:, table.group].astype(np.float64)
    np.testing.assert_allclose(values, METRICS["exact_match"](table, weights), rtol=0, atol=1e-15)
    # the generator goes on from there, whether its draws were known or not
    resample([table], ["exact_match"], rng=again, n_resamples=600)
    assert rng.random() == again.random() == plain.random()


def test_interval_of_independent_queries_is_the_normal_one() -> None:
    # One query a group, so the standard error is sqrt(p (1 - p) / n) and the ends p -+ 1.96 of it.
    exact = np.arange(1000) < 300
    low, high = ends(table_of(exact, np.arange(1000)))
    error = np.sqrt(0.3 * 0.7 / 1000)
    assert low == pytest.approx(0.3 - 1.96 * error, abs=0.003)
    assert high == pytest.approx(0.3 + 1.96 * error, abs=0.003)


def test_groups_of_equal_queries_count_once() -> None:
    # Four copies of each query carry no more information: the interval is that of the groups.
    exact = np.arange(250) < 75
    single = ends(table_of(exact, np.arange(250)))
    copied = ends(table_of(np.repeat(exact, 4), np.repeat(np.arange(250), 4)))
    assert copied == single


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    hits = 0
    for seed in range(200):
        low, high = ends(random_table(60, 4, seed=seed))
        hits += low <= 0.6 <= high
    assert 180 <= hits <= 198


def test_one_group_has_no_interval() -> None:
    table = random_table(1, 4, seed=0)
    assert bootstrap(table, ["exact_match"], rng=np.random.default_rng(0)) is None


def test_all_metrics_of_a_full_split_take_under_three_seconds() -> None:
    rng = np.random.default_rng(1)
    table = dataclasses.replace(
        random_table(363, 4, seed=0),
        true_changed=rng.random(1452) < 0.5,
        kind=rng.choice(["hint", "context", "which"], size=1452),
    )
    start = time.perf_counter()
    found = bootstrap(table, CAUSAL, rng=np.random.default_rng(0))
    assert time.perf_counter() - start < 3
    assert found is not None
    for name, (low, high) in found.items():
        assert low < evaluate(name, table) < high
