"""Targets and draws of training: what is right for every text, and the same however often drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tiny_simulators import lessons_of_pairs, pairs

from introspect_bench.benchmark.backends.simulator.examples import (
    Batch,
    Lessons,
    TrainingSettings,
    base_rate,
    draw,
    shares,
    targets,
)
from introspect_bench.benchmark.errors import UsageError

CLASSES = np.arange(11)


@pytest.fixture
def lessons() -> Lessons:
    return lessons_of_pairs(pairs()[:10])


def batches(lessons: Lessons, **changes: Any) -> list[Batch]:
    settings = TrainingSettings(batch=4, **changes)
    rates = base_rate(lessons)
    return [draw(lessons, settings, rates, s) for s in range(settings.n_steps(len(lessons)))]


def test_targets_are_relative_to_the_features_own_greatest() -> None:
    activations = np.array([[[4.0, 1.0], [-3.0, 0.0]], [[0.5, 0.0], [0.1, 0.05]]], np.float32)
    found = targets(activations)
    expected = np.array([[[10, 2.5], [0, 0]], [[10, 0], [2, 1]]])
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_shares_have_the_value_as_their_mean_and_two_classes_at_most() -> None:
    values = np.array([0, 0.25, 3, 9.5, 10], dtype=np.float32)
    found = shares(values)
    np.testing.assert_allclose(found @ CLASSES, values, rtol=1e-6)
    np.testing.assert_allclose(found.sum(axis=-1), 1)
    assert (found > 0).sum(axis=-1).tolist() == [1, 2, 1, 2, 1]
    assert found[3, 9] == found[3, 10] == 0.5


def test_the_base_rate_is_the_mean_share() -> None:
    lessons = lessons_of_pairs(["AB"], w=50)
    rate = float((lessons.activations > 0).mean())
    expected = np.zeros(11)
    expected[0], expected[10] = 1 - rate, rate
    np.testing.assert_allclose(base_rate(lessons), expected, rtol=1e-5)


def test_every_lesson_is_taken_once_an_epoch_and_the_last_batch_may_be_short(
    lessons: Lessons,
) -> None:
    drawn = batches(lessons, epochs=3, opposite_share=0.0, vague_share=0.0)
    assert [len(batch.ids) for batch in drawn] == [4] * 7 + [2]
    names = ["".join(sorted(text)) for batch in drawn for text in batch.descriptions]
    known = sorted("".join(sorted(wordings[0])) for wordings in lessons.descriptions)
    epochs = [names[start : start + 10] for start in (0, 10, 20)]
    assert [sorted(epoch) for epoch in epochs] == [known] * 3
    assert epochs[0] != epochs[1]
    texts = {text for batch in drawn for text in batch.descriptions}
    assert texts & set(known)
    assert texts - set(known)  # both wordings


def test_right_answers_fit_what_was_asked(lessons: Lessons) -> None:
    settings = {"epochs": 30, "opposite_share": 0.3, "vague_share": 0.2}
    seen = {"true": 0, "opposite": 0, "vague": 0}
    by_name = {"".join(sorted(w[0])): row for row, w in enumerate(lessons.descriptions)}
    rates = base_rate(lessons)
    for batch in batches(lessons, **settings):
        for text, ids, right in zip(batch.descriptions, batch.ids, batch.shares, strict=True):
            if not text:
                seen["vague"] += 1
                np.testing.assert_array_equal(right, np.broadcast_to(rates, right.shape))
                continue
            row = by_name["".join(sorted(text.removeprefix("not ")))]
            kind = "opposite" if text.startswith("not ") else "true"
            seen[kind] += 1
            np.testing.assert_array_equal(ids, lessons.ids[row])
            on = (10 if kind == "true" else 0) * (lessons.activations[row] > 0)
            off = (0 if kind == "true" else 10) * (lessons.activations[row] == 0)
            np.testing.assert_allclose(right @ CLASSES, on + off)
    assert 60 < seen["opposite"] < 120
    assert 35 < seen["vague"] < 85


def test_features_without_an_opposite_are_asked_plainly(lessons: Lessons) -> None:
    plain = replace(lessons, opposites=((),) * 10)
    texts = {t for b in batches(plain, opposite_share=0.9, vague_share=0.0) for t in b.descriptions}
    assert len(texts) == 10
    assert not any(text.startswith("not ") for text in texts)


def test_windows_are_drawn_anew_each_time(lessons: Lessons) -> None:
    drawn = batches(lessons, epochs=8, windows=2, opposite_share=0.0, vague_share=0.0)
    first = {
        tuple(ids.ravel().tolist())
        for batch in drawn
        for text, ids in zip(batch.descriptions, batch.ids, strict=True)
        if "".join(sorted(text)) == "".join(sorted(lessons.descriptions[0][0]))
    }
    assert {len(ids) for ids in first} == {2 * 12}
    assert len(first) > 2


def test_the_seed_and_the_step_decide(lessons: Lessons) -> None:
    rates = base_rate(lessons)
    one, again, other = (draw(lessons, TrainingSettings(seed=seed), rates, 1) for seed in (0, 0, 1))
    assert one.descriptions == again.descriptions
    np.testing.assert_array_equal(one.shares, again.shares)
    assert one.descriptions != other.descriptions


def test_the_rate_rises_and_falls() -> None:
    settings = TrainingSettings(rate=1.0, warmup=0.1)
    rates = [settings.rate_at(step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == pytest.approx(1.0, abs=0.03)
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert 0 < rates[-1] < 0.001


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"descriptions": ()}, "0 descriptions"),
        ({"descriptions": (("a",),) * 9 + ((),)}, "feature 9 has no description"),
        ({"opposites": ()}, "0 opposites"),
        ({"activations": np.zeros((10, 4, 12), np.float32)}, "never active"),
        ({"activations": np.full((10, 4, 12), np.nan, np.float32)}, "finite"),
        ({"activations": np.ones((10, 4, 11), np.float32)}, "as many of each"),
        ({"vague": ()}, "as many of each"),
    ],
)
def test_lessons_that_do_not_fit_are_refused(
    lessons: Lessons, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        replace(lessons, **changes)


@pytest.mark.parametrize(
    "changes", [{"epochs": 0}, {"rank": 0}, {"opposite_share": -0.1}, {"vague_share": 1.0}]
)
def test_impossible_settings_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        TrainingSettings(**changes)


def test_lessons_are_told_apart_by_anything_in_them(lessons: Lessons) -> None:
    assert lessons.sha256() == lessons_of_pairs(pairs()[:10]).sha256()
    assert lessons.sha256() != lessons_of_pairs(pairs()[:10], seed=1).sha256()
    assert lessons.sha256() != replace(lessons, vague=("", "a feature")).sha256()
