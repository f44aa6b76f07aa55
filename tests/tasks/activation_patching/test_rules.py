"""Rules fitted on train: what they can tell of other queries, and what they cannot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import roc_auc_score

from introspect_bench.benchmark.suite.freeze import Measured
from introspect_bench.tasks.activation_patching.build import rules
from introspect_bench.tasks.activation_patching.build.rules import Rows, Rules, fit_rules

WIDTH = 6
CITIES = ("Paris", "Rome", "Oslo", "Lima")


def queries(n: int, rng: np.random.Generator) -> tuple[Rows, list[str], list[str], np.ndarray]:
    """An answer changes where a coordinate is far from 0, to the city of the largest of four."""
    vectors = rng.normal(size=(n, WIDTH)).astype(np.float32)
    vectors[:, 0] *= 4
    changed = np.abs(vectors[:, 0]) > 2.7
    clean = [f"clean {i % 7}" for i in range(n)]
    after = [CITIES[i] for i in vectors[:, 1:5].argmax(1)]
    outcomes = [b if c else a for a, b, c in zip(clean, after, changed, strict=True)]
    rows = Rows(
        cells=["last/0-5"] * n,
        relations=[f"relation {i % 7}" for i in range(n)],
        texts=[f"text {i} about {i % 7}" for i in range(n)],
        vectors=vectors,
    )
    return rows, clean, outcomes, changed


def test_rules_find_what_the_vector_and_the_words_tell() -> None:
    rng = np.random.default_rng(0)
    rows, clean, outcomes, _ = queries(600, rng)
    fitted = Rules(rows, clean, outcomes)
    fresh, clean, outcomes, changed = queries(200, rng)
    assert roc_auc_score(changed, fitted.verdicts(fresh, clean)) > 0.75
    hits = np.array(fitted.guessed(fresh, clean, outcomes))
    assert hits[changed].mean() > 0.6
    assert hits[~changed].mean() > 0.9  # the relation tells the clean answer
    others = [f"{answer}x" for answer in outcomes]
    assert not any(fitted.guessed(fresh, clean, others))


def test_changed_answers_that_the_clean_one_tells_are_guessed() -> None:
    rng = np.random.default_rng(4)
    rows, clean, _, changed = queries(600, rng)
    told = [f"after {a}" if c else a for a, c in zip(clean, changed, strict=True)]

    def alike(vectors: np.ndarray) -> Rows:
        """Neither words nor relation tell anything."""
        n = len(vectors)
        return Rows(
            cells=["last/0-5"] * n, relations=["one"] * n, texts=["text"] * n, vectors=vectors
        )

    fitted = Rules(alike(rows.vectors[:500]), clean[:500], told[:500])
    part = alike(np.zeros((100, WIDTH), dtype=np.float32))
    hits = np.array(fitted.guessed(part, clean[500:], told[500:]))
    assert hits[changed[500:]].all()


def test_an_answer_in_the_text_counts_as_guessed() -> None:
    rng = np.random.default_rng(1)
    rows, clean, outcomes, _ = queries(100, rng)
    fitted = Rules(rows, clean, outcomes)
    text = ["They speak Navajo there."]
    one = Rows(cells=rows.cells[:1], relations=["?"], texts=text, vectors=rows.vectors[:1])
    assert fitted.guessed(one, ["clean 0"], ["navajo"]) == [True]
    assert fitted.guessed(one, ["clean 0"], ["Sanskrit"]) == [False]


def test_the_regression_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    points = rng.normal(size=(50, 3))
    kernel = points @ points.T
    wanted = rng.normal(size=(50, 2))
    model = KernelRidge(alpha=0.7, kernel="precomputed").fit(kernel, wanted)
    np.testing.assert_allclose(rules._solved(kernel, wanted, 0.7), model.dual_coef_, rtol=1e-8)


def test_groups_of_train_are_fitted_as_rows() -> None:
    rng = np.random.default_rng(3)
    rows, clean, outcomes, _ = queries(80, rng)
    groups = [
        [
            Measured(
                kind="last",
                fields={"layers": [0, 5], "relation": rows.relations[i], "text": rows.texts[i]},
                clean=clean[i],
                outcome=outcomes[i],
                clean_ids=[1],
                outcome_ids=[2],
                margin=1.0,
                vector=rows.vectors[i].astype(np.float16),
            )
        ]
        for i in range(80)
    ]
    fresh, before, *_ = queries(10, rng)
    halves = rows.vectors.astype(np.float16).astype(np.float32)
    expected = Rules(replace(rows, vectors=halves), clean, outcomes).verdicts(fresh, before)
    assert fit_rules(groups).verdicts(fresh, before) == pytest.approx(expected)


def test_rules_say_before_anything_is_measured_what_unchanged_answers_they_guess() -> None:
    rng = np.random.default_rng(0)
    fitted = Rules(*queries(600, rng)[:3])
    rows, clean, *_ = queries(100, rng)
    clean = [f"{answer}x" if i % 3 else answer for i, answer in enumerate(clean)]
    found = fitted.foreseen(rows, clean)
    assert found == fitted.guessed(rows, clean, clean)
    assert 0 < sum(found) < 100


def test_the_kernel_is_as_if_rows_of_other_blocks_were_compared_too() -> None:
    rng = np.random.default_rng(1)
    seen = []
    for n in (7, 50):
        rows, clean, *_ = queries(n, rng)
        cells = [f"{('last', 'relation')[i % 2]}/{i % 3}-5" for i in range(n)]
        seen.append(Rules(replace(rows, cells=cells), clean, clean)._train)
    one, other = seen
    near = np.exp(-cdist(one.vectors, other.vectors, "sqeuclidean"))
    block = one.blocks[:, None] == other.blocks[None]
    cell = one.cells[:, None] == other.cells[None]
    product = one.vectors @ other.vectors.T
    assert np.array_equal(rules._kernel(one, other), block * (product + near) + cell * near)
