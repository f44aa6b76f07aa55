"""Which four of a group are kept: no distance may tell changed from unchanged, caps hold."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score

from introspect_bench.benchmark.freeze import Measured
from introspect_bench.tasks.activation_patching.balance import (
    DISTANCES,
    Candidate,
    CandidateGroup,
    distances,
    fours,
    overlap,
)
from introspect_bench.tasks.activation_patching.matching import (
    FREE,
    LEAN,
    RELATION_CAPS,
    Selection,
    trim,
)
from introspect_bench.tasks.activation_patching.probes import fit_probes, no_probes
from introspect_bench.tasks.statistics import aurocs

WIDTH = 32


def group(rng: np.random.Generator, cell: str, *, slope: float = 2.0) -> CandidateGroup:
    """Twelve candidates of which the far ones tend to change the answer."""
    original = rng.normal(size=WIDTH)
    vectors = original + rng.normal(size=(12, WIDTH)) * rng.uniform(0.8, 1.2, size=(12, 1))
    far = np.linalg.norm(vectors - original, axis=1)
    likely = 1 / (1 + np.exp(-slope * (far - far.mean()) / far.std()))
    changed = rng.random(12) < likely
    clean = f"clean {rng.integers(60)}"
    return CandidateGroup(
        cell=cell,
        relation=f"relation {rng.integers(8)}",
        original=original.astype(np.float32),
        mean=np.zeros(WIDTH, np.float32),
        spread=float(np.sqrt(WIDTH)),
        probes=no_probes(WIDTH),
        members=tuple(
            Candidate(
                changed=bool(one),
                outcome=f"answer {rng.integers(1000, 9999)}" if one else clean,
                source=f"source {rng.integers(50)}",
                guessed=bool(one and rng.random() < 0.3),
                vector=vector.astype(np.float32),
                payload=None,
            )
            for one, vector in zip(changed, vectors, strict=True)
        ),
    )


def many(n: int, **options: Any) -> list[CandidateGroup]:
    rng = np.random.default_rng(0)
    return [group(rng, f"cell {i % 5}", **options) for i in range(n)]


def selected(groups: list[CandidateGroup], size: int, **options: Any) -> Selection:
    caps = {"outcome_cap": 0.05, **options}
    selection = Selection(size=size, **caps)
    for one in groups:
        if len(selection.groups) < size:
            selection.offer(one)
    return selection


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
        found = distances(np.stack([m.vector for m in four]), one)[index]
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
        assert guessed[cell] <= 1 + 0.1 * 2 * n


def test_without_caps_more_would_be_guessed() -> None:
    free = selected([replace(g, cell="one") for g in many(400)], 100)
    assert free.guessed["one"] <= 21
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


def probed(kept: list[tuple[CandidateGroup, tuple[Candidate, ...]]]) -> float:
    """AUROC within groups of a linear probe on the vectors, fitted on the other half."""
    vectors = np.stack([m.vector for _, four in kept for m in four])
    changed = np.array([m.changed for _, four in kept for m in four])
    groups = np.repeat(np.arange(len(kept)), 4)
    found = np.zeros(len(vectors))
    for half in (groups % 2 == 0, groups % 2 == 1):
        probe = LogisticRegression(C=0.1).fit(vectors[half], changed[half])
        found[~half] = probe.decision_function(vectors[~half])
    return float(np.mean([roc_auc_score(changed[groups == g], found[groups == g]) for g in groups]))


def leading(n: int, *, seed: int) -> list[CandidateGroup]:
    """Groups whose changed vectors are farther on along one direction."""
    rng = np.random.default_rng(seed)
    found = []
    for one in [group(rng, f"cell {i % 5}", slope=0.0) for i in range(n)]:
        members = tuple(
            replace(m, vector=m.vector + np.float32(0.8 * m.changed) * (np.arange(WIDTH) == 0))
            for m in one.members
        )
        found.append(replace(one, members=members))
    return found


def test_a_linear_probe_learns_little() -> None:
    """Probes that were fitted on other groups take the direction out of those that are kept."""
    probes = fit_probes(leading(200, seed=1))
    assert probes is not None
    told = [replace(one, probes=probes.of(one.cell)) for one in leading(400, seed=2)]
    plain = leading(400, seed=2)
    assert probed(selected(told, 100).groups) < 0.53 < 0.56 < probed(selected(plain, 100).groups)


def test_probes_are_ridge_regressions_within_groups() -> None:
    groups = leading(60, seed=3)
    probes = fit_probes(groups)
    assert probes is not None
    rows, verdicts = [], []
    for one in groups:
        own = np.stack([m.vector for m in one.members]).astype(np.float64) / one.spread
        changed = np.array([m.changed for m in one.members], dtype=np.float64)
        if 0 < changed.sum() < len(changed):
            rows.append(own - own.mean(0))
            verdicts.append(changed - changed.mean())
    x, y = np.concatenate(rows), np.concatenate(verdicts)
    ridge = Ridge(alpha=np.trace(x.T @ x) / WIDTH, fit_intercept=False).fit(x, y)
    found = probes.everywhere
    np.testing.assert_allclose(
        found / np.linalg.norm(found), ridge.coef_ / np.linalg.norm(ridge.coef_), atol=1e-9
    )
    spreads = []
    for cell in {one.cell for one in groups}:
        own = np.concatenate(
            [
                (v - v.mean(0)) @ probes.of(cell).T
                for one in groups
                if one.cell == cell and len({m.changed for m in one.members}) == 2
                for v in [np.stack([m.vector for m in one.members]) / one.spread]
            ]
        )
        spreads.append(own.std(axis=0))
    np.testing.assert_allclose(spreads, 1.0, rtol=1e-5)


def test_candidates_that_all_change_tell_no_probe_anything() -> None:
    one = many(1)[0]
    members = tuple(replace(m, changed=True) for m in one.members)
    assert fit_probes([replace(one, members=members)]) is None
    assert fit_probes([]) is None


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
    vectors = rng.normal(size=(3, 4, 8)).astype(np.float32)
    original, mean = rng.normal(size=(2, 8)).astype(np.float32)
    probes = rng.normal(size=(2, 8))
    one = replace(many(1)[0], original=original, mean=mean, probes=probes)
    found = distances(vectors, one)
    assert found.shape == (3, 6, 4)
    for own, value in zip(vectors, found, strict=True):
        points = (original, own.mean(0), np.zeros(8), mean)
        near, group_mean, length, centre = (cdist([point], own)[0] for point in points)
        told = [[float(np.dot(probe, v)) for v in own] for probe in probes]
        expected = [near, group_mean, *told, length, centre]
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
