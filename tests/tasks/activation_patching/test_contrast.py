"""Which four of a group are kept: no distance may tell changed from unchanged, caps hold."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.metrics import roc_auc_score
from tiny_groups import many, selected

from introspect_bench.benchmark.suite.freeze import Measured
from introspect_bench.tasks.activation_patching.build.balance import (
    DISTANCES,
    Candidate,
    CandidateGroup,
    distances,
    fours,
    overlap,
)
from introspect_bench.tasks.activation_patching.build.contrast import (
    FREE,
    LEAN,
    RELATION_CAPS,
    RULED,
    Selection,
    trim,
)
from introspect_bench.tasks.build.statistics import aurocs


@pytest.fixture(scope="module")
def selection() -> Selection:
    found = selected(many(400), 100)
    assert len(found.groups) == 100
    return found


def judged(
    kept: list[tuple[CandidateGroup, tuple[Candidate, ...]]], name: str
) -> tuple[float, dict[str, float]]:
    """Mean AUROC within groups by scikit-learn, over all groups and by cell."""
    found = defaultdict(list)
    for one, four in kept:
        values = {
            "to_original": cdist([one.original], [m.vector for m in four])[0],
            "to_group_mean": cdist(
                [np.mean([m.vector for m in four], axis=0)], [m.vector for m in four]
            )[0],
        }[name]
        found[one.cell].append(roc_auc_score([m.changed for m in four], values))
    everything = [value for own in found.values() for value in own]
    return float(np.mean(everything)), {cell: float(np.mean(own)) for cell, own in found.items()}


@pytest.mark.parametrize("name", DISTANCES[:2])
def test_no_distance_tells_changed_from_unchanged(selection: Selection, name: str) -> None:
    whole, by_cell = judged(selection.groups, name)
    assert whole == pytest.approx(0.5, abs=0.02)
    assert len(by_cell) == 5
    for cell, value in by_cell.items():
        # one lean is the worth of an eighth of a group
        assert abs(value - 0.5) <= LEAN / 8 / selection.cells[cell] + 1e-9


def test_slack_widens_the_bounds_of_leans() -> None:
    offered = many(900, slope=6.0)
    strict, loose = selected(offered, 600), selected(offered, 600, slack=4.0)
    assert len(loose.groups) > 1.1 * len(strict.groups)
    for found, times in ((strict, 1), (loose, 4)):
        for name in DISTANCES[:2]:
            for cell, value in judged(found.groups, name)[1].items():
                most = times * LEAN / 8 / found.cells[cell]
                assert abs(value - 0.5) <= most + 1e-9


def test_what_rules_fitted_on_train_say_is_matched_and_rarely_right() -> None:
    rng = np.random.default_rng(6)
    offered = [
        replace(
            one,
            members=tuple(
                replace(m, verdict=float(m.changed + rng.normal()), ruled=bool(rng.random() < 0.3))
                for m in one.members
            ),
        )
        for one in many(900)
    ]
    found = selected(offered, 200)
    assert len(found.groups) == 200
    scores = [
        roc_auc_score([m.changed for m in f], [m.verdict for m in f]) for _, f in found.groups
    ]
    assert float(np.mean(scores)) == pytest.approx(0.5, abs=0.02)
    for verdict, share in ((True, found.ruled_changed), (False, RULED)):
        members = [m for _, four in found.groups for m in four if m.changed == verdict]
        assert 0 < sum(m.ruled for m in members) <= share * len(members)


def test_any_four_would_tell() -> None:
    """The same candidates without matching: the data have what the choice takes out."""
    rng = np.random.default_rng(1)
    kept = []
    for one in many(200):
        four = [one.members[i] for i in rng.permutation(12)[:4]]
        if len({m.changed for m in four}) == 2:
            kept.append((one, tuple(four)))
    assert judged(kept, "to_original")[0] > 0.65


@pytest.mark.parametrize("name", DISTANCES[:2])
def test_no_rank_holds_more_changed_than_unchanged(selection: Selection, name: str) -> None:
    """Else "the farthest and the nearest changed" would be a rule although the AUROC is 0.5."""
    index = DISTANCES.index(name)
    at: Counter[int] = Counter()
    for one, four in selection.groups:
        found = distances(replace(one, members=four), [range(4)])[0][index]
        for rank, i in enumerate(np.argsort(found)):
            at[rank] += four[i].changed
    assert all(0.4 <= at[rank] / len(selection.groups) <= 0.6 for rank in range(4))


def test_two_of_four_change_to_answers_of_their_own(selection: Selection) -> None:
    for _, four in selection.groups:
        assert [m.changed for m in four] == [True, True, False, False]
        assert len({id(m) for m in four}) == 4
        assert not overlap(four[0].outcome, four[1].outcome)


def test_caps_hold(selection: Selection) -> None:
    outcomes = Counter(m.outcome for _, four in selection.groups for m in four)
    assert outcomes == selection.outcomes
    assert max(outcomes.values()) <= 0.05 * 400
    by_relation: dict[tuple[str, bool], Counter[str]] = defaultdict(Counter)
    for one, four in selection.groups:
        for m in four:
            by_relation[one.relation, m.changed][m.outcome] += 1
    for (_, changed), own in by_relation.items():
        assert max(own.values()) <= FREE + RELATION_CAPS[changed] * own.total()
    guessed = Counter(
        one.cell for one, four in selection.groups for m in four if m.changed and m.guessed
    )
    for cell, n in selection.cells.items():
        assert guessed[cell] <= 1 + 0.15 * 2 * n


def test_without_caps_more_would_be_guessed() -> None:
    free = selected([replace(g, cell="one") for g in many(400)], 100)
    assert free.guessed["one"] <= 31
    chosen = [m for g in many(400) for m in g.members if m.changed]
    assert sum(m.guessed for m in chosen) / len(chosen) > 0.25


def test_an_answer_common_in_a_relation_is_capped() -> None:
    same = []
    for one in many(60):
        members = tuple(replace(m, outcome="same") if not m.changed else m for m in one.members)
        same.append(replace(one, relation="only", members=members))
    found = selected(same, 60, outcome_cap=1.0)
    n = len(found.groups)
    assert 0 < found.outcomes["same"] == 2 * n <= FREE + RELATION_CAPS[False] * 2 * n
    assert n <= 3
    assert found.rejected["cell 1", "caps"] > 0


@pytest.mark.parametrize("changed", [0, 1, 11, 12])
def test_a_group_without_two_and_two_is_not_kept(changed: int) -> None:
    one = many(1)[0]
    members = tuple(
        replace(m, changed=i < changed, outcome=f"x{i}" if i < changed else "c")
        for i, m in enumerate(one.members)
    )
    assert fours(replace(one, members=members)).members == []
    assert not selected([replace(one, members=members)], 1).groups


def test_a_group_whose_changed_answers_overlap_is_not_kept() -> None:
    one = many(1)[0]
    names = ["New York", "new york city"] + ["c"] * 10
    members = tuple(replace(m, changed=i < 2, outcome=names[i]) for i, m in enumerate(one.members))
    assert not selected([replace(one, members=members)], 1).groups


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("Paris", "paris", True),
        ("the Paris", "Paris", True),
        ("Paris", "the Paris", True),
        ("Caf\u00e9", "Cafe\u0301", True),
        ('"Rome"', "Rome.", True),
        ("Rome", "Paris", False),
    ],
)
def test_overlap(one: str, other: str, expected: bool) -> None:
    assert overlap(one, other) is expected


def test_distances_are_euclidean() -> None:
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(12, 8)).astype(np.float32)
    original, mean = rng.normal(size=(2, 8)).astype(np.float32)
    probes, verdicts = rng.normal(size=(2, 8)), rng.normal(size=12)
    members = tuple(
        replace(member, vector=vector, verdict=float(verdict))
        for member, vector, verdict in zip(many(1)[0].members, vectors, verdicts, strict=True)
    )
    one = replace(
        many(1)[0], original=original, mean=mean, probes=probes, members=members, spread=2.0
    )
    chosen = [rng.permutation(12)[:4].tolist() for _ in range(3)]
    found = distances(one, chosen)
    assert found.shape == (3, len(DISTANCES), 4)
    for four, value in zip(chosen, found, strict=True):
        own = vectors[four]
        points = (original, own.mean(0), np.zeros(8), mean)
        near, group_mean, length, centre = (cdist([point], own)[0] for point in points)
        told = [[float(np.dot(probe, v)) for v in own] for probe in probes]
        expected = [near, group_mean, *told, 2.0 * verdicts[four], length, centre]
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)


def test_trimming_leaves_a_balanced_rest(selection: Selection) -> None:
    kept = trim(selection.groups, 90)
    assert len(kept) == 90
    assert {id(g) for g, _ in kept} <= {id(g) for g, _ in selection.groups}
    for name in DISTANCES[:2]:
        whole, by_cell = judged(kept, name)
        assert whole == pytest.approx(0.5, abs=0.02)
        assert all(abs(value - 0.5) <= 0.06 for value in by_cell.values())
    assert trim(selection.groups, 1_000) == list(selection.groups)


def test_the_same_groups_give_the_same_choice(selection: Selection) -> None:
    again = selected(many(400), 100)
    for (_, one), (_, other) in zip(selection.groups, again.groups, strict=True):
        assert [m.outcome for m in one] == [m.outcome for m in other]


def measured(changed: bool, distance: float) -> Measured:
    return Measured(
        kind="k",
        fields={"relation": "r", "layers": [0, 1]},
        clean="c",
        outcome="d" if changed else "c",
        clean_ids=[1],
        outcome_ids=[1],
        margin=1.0,
        distances={"to_original": distance},
    )


def test_aurocs_of_the_statistics_are_scikit_learn_s() -> None:
    rng = np.random.default_rng(3)
    groups = []
    for _ in range(30):
        truth = rng.permutation([True, True, False, False])
        values = rng.integers(0, 4, size=4)  # ties
        groups.append([measured(bool(t), float(v)) for t, v in zip(truth, values, strict=True)])
    expected = np.mean(
        [
            roc_auc_score([m.outcome == "d" for m in g], [m.distances["to_original"] for m in g])  # type: ignore[index]
            for g in groups
        ]
    )
    assert aurocs(groups)["to_original"] == pytest.approx(expected)
    assert aurocs([[measured(True, 1.0)] * 4]) == {"to_original": None}
