"""Entries in order: who has a place, and on which draws it stands."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from introspect_bench.benchmark.scoring.scale import Scale
from introspect_bench.benchmark.suite.suite import Suite
from introspect_bench.benchmark.task import Task
from introspect_bench.leaderboard.site.ranking import Headline, scales_of, standings

SCALES = {"a": Scale(floor=0.1, ceiling=0.9), "b": Scale(floor=0.0, ceiling=0.5)}


def score(value: float, seed: int) -> Headline:
    rng = np.random.default_rng(seed)
    return Headline(value=value, resampled=value + 0.01 * rng.normal(size=500))


def test_only_whole_contestants_have_a_place() -> None:
    scores = {
        "low": {"a": score(0.3, 0), "b": score(0.1, 1)},
        "part": {"a": score(0.9, 2)},
        "oracle": {"a": score(0.9, 3), "b": score(0.5, 4)},
        "high": {"a": score(0.5, 5), "b": score(0.3, 6)},
    }
    found = standings(scores, SCALES, ranked=dict.fromkeys(("low", "part", "high"), "words"))
    assert list(found) == list(scores)
    places = {name: one.place and one.place.rank for name, one in found.items()}
    assert places == {"low": 2, "part": None, "oracle": None, "high": 1}
    assert found["part"].overall is None
    oracle = found["oracle"].overall
    assert oracle is not None
    assert oracle.value == pytest.approx(1)


def test_ranks_and_letters_stand_within_a_class() -> None:
    """A calculator does not push anybody down, and what is told apart from it is of no matter."""
    scores = {
        name: {"a": score(value, seed), "b": score(value, seed + 9)}
        for seed, (name, value) in enumerate({"low": 0.2, "ceiling": 0.8, "high": 0.4}.items())
    }
    classes = {"low": "words", "ceiling": "replays", "high": "words"}
    found = standings(scores, SCALES, ranked=classes)
    places = {
        name: one.place and (one.place.rank, one.place.letters) for name, one in found.items()
    }
    assert places == {"low": (2, ("b",)), "ceiling": (1, ("a",)), "high": (1, ("a",))}
    together = standings(scores, SCALES, ranked=dict.fromkeys(scores, "words"))
    assert [one.place and one.place.rank for one in together.values()] == [3, 1, 2]


def test_nobody_to_rank() -> None:
    assert standings({}, SCALES, ranked={}) == {}
    found = standings({"part": {"a": score(0.5, 0)}}, SCALES, ranked={"part": "words"})
    assert (found["part"].overall, found["part"].place) == (None, None)


def test_there_is_an_overall_only_if_every_task_has_a_scale(
    toy_task: Task, toy_suite: Suite, tmp_path: Path
) -> None:
    scale = Scale(floor=0.125, ceiling=1, floor_of="commonest-answer")
    found = scales_of([(toy_task, toy_suite)], "test")
    assert found.by_task == found.counted == {"toy-vector": scale}
    assert (found.left_out, found.missing) == ({}, "")
    silent = Suite(root=tmp_path, manifest={**toy_suite.manifest, "nulls": {}})
    other = dataclasses.replace(toy_task, name="other")
    found = scales_of([(toy_task, toy_suite), (other, silent)], "test")
    assert found.by_task == {"toy-vector": scale}
    assert found.counted == {}
    assert "no null model of class words with a value of exact_match on test" in found.missing


def test_a_task_whose_suite_misses_a_bar_is_not_part_of_the_overall(
    toy_task: Task, toy_suite: Suite, tmp_path: Path
) -> None:
    missed = {**toy_suite.manifest, "bars_missed": ["Probes reach 12 %, allowed are 10 %."]}
    other = (dataclasses.replace(toy_task, name="other"), Suite(root=tmp_path, manifest=missed))
    found = scales_of([(toy_task, toy_suite), other], "test")
    assert set(found.by_task) == {"toy-vector", "other"}
    assert set(found.counted) == {"toy-vector"}
    assert found.left_out == {
        "other": "Not part of the overall: Probes reach 12 %, allowed are 10 %."
    }
    # whoever lacks the task that does not count has an overall all the same
    row = standings({"x": {"toy-vector": score(0.5, 0)}}, found.counted, ranked={"x": "words"})["x"]
    assert row.overall is not None
    assert row.place is not None
    found = scales_of([other], "test")
    assert found.counted == {}
    assert found.missing == "There is no overall: every task's suite misses a bar."
