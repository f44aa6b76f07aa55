"""Copied replies and additive re-runs are labelled; everything else is left alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from introspect_bench.leaderboard.submissions.copies import Replies, find_labels

N = 1000


def entry(identifier: str, date: str = "2026-01-01", **changes: Any) -> Replies:
    raw = {("t", f"{n:016x}"): f"{identifier} says {n}" for n in range(N)}
    fields: dict[str, Any] = {
        "id": identifier,
        "place": int(date.replace("-", "")),
        "raw": raw,
        "right": dict.fromkeys(raw, False),
        "baseline": False,
    }
    return Replies(**(fields | changes))


def mixed(original: Replies, own: Replies, n_own: int) -> dict[tuple[str, str], str]:
    """Replies of the first, but for some of the second."""
    return {
        key: own.raw[key] if place < n_own else text
        for place, (key, text) in enumerate(original.raw.items())
    }


@pytest.mark.parametrize(("n_own", "labelled"), [(0, True), (5, True), (49, True), (50, False)])
def test_more_than_95_in_100_identical_replies_are_a_copy(n_own: int, labelled: bool) -> None:
    first, second = entry("a__x__00000000"), entry("b__y__00000000", "2026-01-02")
    copy = entry("b__y__00000000", "2026-01-02", raw=mixed(first, second, n_own))
    labels = find_labels([copy, first])
    assert [label.kind for label in labels] == (["copy"] if labelled else [])
    if labelled:
        assert (labels[0].entry, labels[0].other) == (copy.id, first.id)
        assert labels[0].share == (N - n_own) / N
        assert f"of {N} replies are those of {first.id}" in labels[0].text


def test_the_same_weights_are_said_and_baselines_are_never_labelled() -> None:
    weights = frozenset({"ab" * 32})
    first = entry("a__x__00000000", weights=weights)
    second = entry("b__y__00000000", "2026-01-02", raw=first.raw, weights=weights)
    assert "(the same weights)" in find_labels([first, second])[0].text
    third = entry("b__y__00000000", "2026-01-02", raw=first.raw, baseline=True)
    assert find_labels([first, third]) == []


def test_few_common_queries_say_nothing() -> None:
    few = {("t", f"{n:016x}"): "x" for n in range(19)}
    first = entry("a__x__00000000", raw=few, right={})
    second = entry("b__y__00000000", "2026-01-02", raw=few, right={})
    assert find_labels([first, second]) == []
    other_task = {("u", key): text for (_, key), text in few.items()}
    assert find_labels([first, entry("c__z__00000000", raw=other_task, right={})]) == []


def runs(right_before: set[int], right_after: set[int], **changes: Any) -> list[Replies]:
    keys = list(entry("a__x__00000000").raw)
    first = entry("a__x__00000000", right={key: n in right_before for n, key in enumerate(keys)})
    second = entry(
        changes.pop("identifier", "a__y__00000000"),
        right={key: n in right_after for n, key in enumerate(keys)},
        **({"date": "2026-01-02"} | changes),
    )
    return [first, second]


def test_a_rerun_that_only_gained_is_labelled() -> None:
    pair = runs(set(range(100)), set(range(130)))
    (label,) = find_labels(pair)
    assert (label.kind, label.entry) == ("additive", "a__y__00000000")
    assert "30 answers more are right than in a__x__00000000, and none turned wrong" in label.text


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        (set(range(100)), set(range(1, 130)), {}),  # one turned wrong
        (set(range(100)), set(range(104)), {}),  # four may be chance
        (set(), set(range(130)), {}),  # where none was right, none can turn wrong
        (set(range(19)), set(range(130)), {}),
        (set(range(100)), set(range(100)), {}),
        (set(range(100)), set(range(130)), {"identifier": "b__y__00000000"}),
        (set(range(100)), set(range(130)), {"date": "2025-12-31"}),
    ],
)
def test_other_pairs_are_not_additive(
    before: set[int], after: set[int], changes: dict[str, Any]
) -> None:
    assert find_labels(runs(before, after, **changes)) == []


def test_who_keeps_what_a_baseline_has_right_is_no_rerun_of_it() -> None:
    first, second = runs(set(range(100)), set(range(130)))
    assert find_labels([first, second])
    assert find_labels([replace(first, baseline=True), second]) == []


def test_who_came_first_is_said_only_if_it_is_known() -> None:
    first = entry("a__x__00000000")
    second = entry("b__y__00000000", raw=first.raw)
    labels = find_labels([first, second])
    assert {label.entry for label in labels} == {first.id, second.id}
    assert all(label.text.endswith("which came first is not known") for label in labels)


def test_the_best_of_four_is_a_union_whoever_sends_it() -> None:
    keys = list(entry("a__x__00000000").raw)
    public = [
        entry(f"a__x{part}__00000000", right={key: n % 4 == part for n, key in enumerate(keys)})
        for part in range(4)
    ]
    best = {key: public[n % 4].raw[key] for n, key in enumerate(keys)}
    mine = entry("b__y__00000000", "2026-01-02", raw=best, right=dict.fromkeys(keys, True))
    (label,) = find_labels([mine, *public])
    assert (label.kind, label.entry) == ("union", mine.id)
    assert all(one.id in label.text for one in public)
    assert label.text.startswith("100.0% of 1000 answers are those of")
    worse = replace(mine, right={key: n % 9 > 0 for n, key in enumerate(keys)})
    assert find_labels([worse, *public]) == []  # who picks by chance loses what one has right
