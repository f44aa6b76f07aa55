"""Linear probes of the verdict: how they are fitted, and what is left to them after matching."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from tiny_groups import WIDTH, group, many, selected

from introspect_bench.tasks.activation_patching.build import balance
from introspect_bench.tasks.activation_patching.build.balance import Candidate, CandidateGroup


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
    probes = balance.fit_probes(leading(200, seed=1))
    assert probes is not None
    kept, free = [], []
    for seed in range(2, 7):  # one seed alone has 0.47 to 0.61
        plain = leading(200, seed=seed)
        told = [replace(one, probes=probes.of(one.cell)) for one in plain]
        kept.append(probed(selected(told, 100).groups))
        free.append(probed(selected(plain, 100).groups))
    assert np.mean(kept) < 0.54 < 0.60 < np.mean(free)


def test_probes_are_ridge_regressions_within_groups() -> None:
    groups = leading(60, seed=3)
    probes = balance.fit_probes(groups)
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
    assert balance.fit_probes([replace(one, members=members)]) is None
    assert balance.fit_probes([]) is None
