"""Which groups are frozen: never without contrast, within caps, balanced, from all cells."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from introspect_bench.tasks.groups import Candidate, CandidateGroup, Selection, select


def group(cell: str, *outcomes: str, clean: str = "c") -> CandidateGroup:
    return CandidateGroup(
        cell=cell,
        members=tuple(
            Candidate(clean=clean, outcome=text, payload=(cell, i))
            for i, text in enumerate(outcomes)
        ),
    )


def outcomes(selection: Selection) -> list[list[str]]:
    return [[member.outcome for member in four] for four in selection.groups]


def many(n: int, *, seed: int = 0) -> list[CandidateGroup]:
    """Groups of six as building makes them: some answers common, half of them unchanged."""
    rng = np.random.default_rng(seed)
    names = ["c", *(f"n{i}" for i in range(12))]
    share = np.array([0.4, *([0.05] * 12)])
    return [
        group(f"cell{i % 3}", *(str(name) for name in rng.choice(names, 6, p=share)))
        for i in range(n)
    ]


@pytest.mark.parametrize("same", [("c",) * 6, ("d",) * 6, ("c", "c", "d"), ()])
def test_without_two_answers_or_four_members_a_group_is_not_taken(same: tuple[str, ...]) -> None:
    selection = Selection(size=10, outcome_cap=1.0)
    assert not selection.offer(group("a", *same))
    assert selection.groups == []
    assert selection.outcomes == Counter()


def test_answers_differ_if_the_verdict_does() -> None:
    """The same outcome for all four, but one of them had another clean output (ablations)."""
    members = [Candidate(clean=clean, outcome="d", payload=None) for clean in ("d", "c", "c", "c")]
    selection = Selection(size=1, outcome_cap=1.0)
    assert selection.offer(CandidateGroup(cell="a", members=tuple(members)))
    assert selection.n_changed == 3


def test_of_six_the_four_that_tell_the_reader_least_are_taken() -> None:
    selection = Selection(size=10, outcome_cap=1.0, changed_range=(0.0, 1.0))
    assert selection.offer(group("a", "x", "x", "x", "y", "z", "c"))
    assert sorted(outcomes(selection)[0]) == ["c", "x", "y", "z"]
    assert selection.n_changed == 3


def test_no_outcome_exceeds_its_cap() -> None:
    found = select(many(400), Selection(size=40, outcome_cap=0.10))
    limit = int(0.10 * 40 * 4)
    counts = Counter(text for four in outcomes(found) for text in four)
    assert counts == found.outcomes
    assert max(counts.values()) == limit  # the cap was met, so it was what held
    uncapped = select(many(400), Selection(size=40, outcome_cap=1.0))
    assert max(uncapped.outcomes.values()) > limit


def test_a_group_that_would_break_the_cap_alone_is_not_taken() -> None:
    selection = Selection(size=2, outcome_cap=0.25)  # two queries of one outcome at most
    assert not selection.offer(group("a", "x", "x", "x", "y"))
    assert selection.offer(group("a", "x", "x", "y", "z"))


def test_changed_and_unchanged_are_balanced() -> None:
    found = select(many(400), Selection(size=60, outcome_cap=1.0))
    assert len(found.groups) == 60
    changed = sum(text != "c" for four in outcomes(found) for text in four)
    assert changed == found.n_changed
    assert 0.45 <= changed / 240 <= 0.55
    free: Any = {"changed_range": (0.7, 0.75), "changed_limits": (0.0, 1.0)}
    skewed = select(many(400), Selection(size=60, outcome_cap=1.0, **free))
    assert 0.68 <= skewed.n_changed / 240 <= 0.77


def test_a_group_that_only_unbalances_is_not_taken() -> None:
    selection = Selection(size=10, outcome_cap=1.0)
    assert selection.offer(group("a", *"ccxy"))
    assert not selection.offer(group("a", *"wxyz"))  # six of eight changed
    assert selection.offer(group("a", *"ccxz"))
    assert selection.n_changed == 4


def test_every_group_has_contrast_and_four_distinct_members() -> None:
    found = select(many(300), Selection(size=50, outcome_cap=0.5))
    assert len(found.groups) == 50
    for four in found.groups:
        assert len({m.payload for m in four}) == 4
        assert len({m.payload[0] for m in four}) == 1
        assert len({(m.changed, m.outcome) for m in four}) >= 2


def test_cells_are_taken_in_turn() -> None:
    good = ("c", "c", "x", "y")
    groups = [group("b", *good)] * 5 + [group("a", *good)] * 5 + [group("c", *good)]
    found = select(groups, Selection(size=7, outcome_cap=1.0))
    assert [four[0].payload[0] for four in found.groups] == ["a", "b", "c", "a", "b", "a", "b"]
    assert found.cells == {"a": 3, "b": 3, "c": 1}


def test_a_cell_whose_turn_it_is_goes_on_to_its_next_usable_group() -> None:
    groups = [group("a", *"cccc"), group("a", *"ccxy"), group("b", *"ccxz")]
    found = select(groups, Selection(size=2, outcome_cap=1.0))
    assert [four[0].payload[0] for four in found.groups] == ["a", "b"]


def test_it_stops_when_it_has_enough_or_nothing_is_left() -> None:
    assert len(select(many(300), Selection(size=3, outcome_cap=1.0)).groups) == 3
    assert len(select(many(3), Selection(size=300, outcome_cap=1.0)).groups) <= 3
    assert select([], Selection(size=3, outcome_cap=1.0)).groups == []


def test_the_same_groups_give_the_same_choice() -> None:
    first = select(many(200), Selection(size=30, outcome_cap=0.1))
    second = select(many(200), Selection(size=30, outcome_cap=0.1))
    assert first.groups == second.groups
    other = select(many(200, seed=1), Selection(size=30, outcome_cap=0.1))
    assert first.groups != other.groups
