"""Fresh suites of test alone: read, completed with the public train; the gap and what it shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_suites
from scipy import stats

from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.files import read_json, write_json_atomic
from introspect_bench.benchmark.metrics.verdicts import ScoreTable
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.suite.suite import Suite, open_suite
from introspect_bench.leaderboard.verification.fresh import MOST_GAP, completed, fresh_score
from introspect_bench.tasks.build.verify import verify_suite

TASK = get_task("activation-patching")


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Suite:
    with monkeypatch.context() as patch:
        patch.setattr(tiny_suites, "TEXT", tiny_suites.TEXT.replace("city", "town"))
        return open_suite(tiny_suites.make_suite(tmp_path / "fresh", TASK, ["test"]))


def test_a_suite_of_test_alone_is_whole(fresh: Suite) -> None:
    verify_suite(TASK, fresh)
    assert fresh.splits == ("test",)
    assert len(fresh.queries("test")) == 12


@pytest.mark.parametrize("split", ["train", "validation", "mini"])
def test_it_has_no_other_split(fresh: Suite, split: str) -> None:
    with pytest.raises(UsageError, match=f"has no split {split}: it was made with test alone"):
        fresh.queries(split)


@pytest.mark.parametrize("splits", [["train"], ["test", "validation"], []])
def test_any_other_part_is_refused(fresh: Suite, splits: list[str]) -> None:
    path = fresh.root / "manifest.json"
    counts = fresh.manifest["splits"]["test"]
    write_json_atomic(path, read_json(path) | {"splits": dict.fromkeys(splits, counts)})
    with pytest.raises(IntegrityError, match=r"splits\.t"):
        open_suite(fresh.root)


def test_without_validation_there_is_no_mini(fresh: Suite) -> None:
    path = fresh.root / "manifest.json"
    write_json_atomic(path, read_json(path) | {"mini": ["0" * 16]})
    with pytest.raises(IntegrityError, match="mini"):
        open_suite(fresh.root)


def test_it_is_completed_with_the_public_train(fresh: Suite, tmp_path: Path) -> None:
    public = open_suite(tiny_suites.make_suite(tmp_path / "public", TASK))
    root = completed(public, fresh, tmp_path / "work") / TASK.name / TASK.version
    found = open_suite(root)
    verify_suite(TASK, found)
    for split, source in (("train", public), ("validation", public), ("test", fresh)):
        assert found.queries(split) == source.queries(split)
        assert found.truth(split) == source.truth(split)
        assert (found.vectors(split) == source.vectors(split)).all()
    assert found.queries("mini") == public.queries("mini")


def replies(n_groups: int, right: float, seed: int) -> ScoreTable:
    """Groups of four, two of which change; members of a group are right or wrong together."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), 4)
    exact = (rng.beta(3 * right, 3 * (1 - right), n_groups)[groups]) > rng.random(4 * n_groups)
    changed = np.tile([True, True, False, False], n_groups)
    return ScoreTable(
        exact=exact,
        content=exact,
        true_changed=changed,
        pred_changed=np.where(exact, changed, ~changed).astype(np.int8),
        kind=np.full(4 * n_groups, "last-subject"),
        group=groups,
    )


def shifted(table: ScoreTable, points: float) -> ScoreTable:
    """The same table with so many points fewer right, spread evenly over both verdicts."""
    exact = table.exact.copy()
    for side in (table.true_changed, ~table.true_changed):
        right = np.flatnonzero(exact & side)
        lost = round(points * side.sum())
        exact[right[np.linspace(0, len(right) - 1, lost).astype(int)]] = False
    return replace(table, exact=exact)


def test_the_gaps_interval_is_that_of_scipy() -> None:
    """Groups are of one size, so that a share is the mean of the groups' means."""
    task = replace(TASK, headline="exact_match")
    public, fresh = replies(300, 0.6, 1), replies(200, 0.55, 2)
    found = fresh_score(public, fresh, task)
    means = [table.exact.reshape(-1, 4).mean(axis=1) for table in (public, fresh)]
    expected = stats.bootstrap(
        means,
        lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(3),
    )
    spread = expected.standard_error
    assert found.gap == pytest.approx(means[0].mean() - means[1].mean(), abs=1e-12)
    assert found.gap_95 == pytest.approx(tuple(expected.confidence_interval), abs=0.15 * spread)
    single = np.sqrt(sum(table.exact.var() / table.n for table in (public, fresh)))
    assert spread > 1.2 * single  # queries drawn one by one would give a shorter interval
    assert (found.public_n, found.fresh_n) == ((1200, 300), (800, 200))


@pytest.mark.parametrize(
    ("n_groups", "points", "confirmed"),
    [(1000, 0.0, True), (1000, 0.08, False), (59, 0.0, False), (1000, -0.08, True)],
)
def test_confirmed_is_a_gap_that_is_shown_to_be_small(
    n_groups: int, points: float, confirmed: bool
) -> None:
    table = replies(n_groups, 0.5, 1)
    public, fresh = (
        (table, shifted(table, points)) if points > 0 else (shifted(table, -points), table)
    )
    found = fresh_score(public, fresh, TASK)
    assert found.metric == "balanced_exact_match"
    assert found.gap == pytest.approx(points, abs=0.004)
    assert found.confirmed is confirmed


@pytest.mark.parametrize(
    ("public", "fresh", "confirmed"), [(60, 60, True), (59, 60, False), (60, 59, False)]
)
def test_fewer_than_60_groups_on_a_side_confirm_nothing(
    public: int, fresh: int, confirmed: bool
) -> None:
    """Nobody is right anywhere: the gap is 0 without any spread."""
    old, new = (
        replace(replies(n, 0.5, 1), exact=np.zeros(4 * n, dtype=bool)) for n in (public, fresh)
    )
    found = fresh_score(old, new, TASK)
    assert found.gap_95 == (0.0, 0.0)
    assert found.confirmed is confirmed


def test_a_gap_of_8_points_that_few_queries_cannot_tell_from_none_is_not_confirmed() -> None:
    """The intervals of both overlap, which was enough before."""
    table = replies(80, 0.5, 1)
    found = fresh_score(table, shifted(table, 0.084), TASK)
    assert found.fresh_95[1] >= found.public_95[0]
    assert found.gap_95[0] < 0 < MOST_GAP < found.gap_95[1]
    assert not found.confirmed
