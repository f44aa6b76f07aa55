"""The search for predicates, on tokens made up so that the right answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from introspect_bench.tasks.feature_descriptions.search import combined, pearson, search

N = 4_000


def made(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    predicates = (rng.random((N, 30)) < 0.05).astype(np.float64)
    return predicates, rng.random(N)


def columns(*values: np.ndarray) -> sparse.csc_matrix:
    return sparse.csc_matrix(np.stack(values, axis=1))


def test_correlations_equal_numpy() -> None:
    predicates, noise = made()
    activations = np.stack(
        [noise * predicates[:, 0], noise, predicates[:, 1] - predicates[:, 2]], 1
    )
    found = pearson(sparse.csc_matrix(activations), sparse.csc_matrix(predicates))
    wanted = np.corrcoef(activations.T, predicates.T)[:3, 3:]
    np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_a_constant_side_has_correlation_zero() -> None:
    predicates, noise = made()
    predicates[:, 4] = 1
    found = pearson(columns(noise, np.full(N, 0.1)), sparse.csc_matrix(predicates))
    assert found[0, 4] == 0
    assert not found[1].any()


def test_one_predicate_both_and_either_are_found_and_verified() -> None:
    predicates, noise = made()
    a, b, c = predicates[:, 3], predicates[:, 7], predicates[:, 11]
    common = (noise < 0.5).astype(np.float64)  # a predicate that holds on half of the tokens
    predicates[:, 20] = common
    acts = columns((1 + noise) * a, (1 + noise) * np.maximum(b, c), (1 + noise) * a * common)
    half = np.arange(N) % 2 == 0
    found = search(acts, sparse.csc_matrix(predicates), half)
    assert [(f.how, f.predicates) for f in found] == [
        ("is", (3,)),
        ("or", (7, 11)),
        ("and", (3, 20)),
    ]
    for one in found:
        values = combined(one.how, sparse.csc_matrix(predicates), one.predicates).toarray()[
            ~half, 0
        ]
        mine = acts[:, [one.feature]].toarray()[~half, 0]
        assert one.r_held_out == pytest.approx(np.corrcoef(mine, values)[0, 1])
        assert one.r_held_out > 0.9


def test_what_holds_on_the_searched_half_only_is_found_out() -> None:
    predicates, noise = made()
    half = np.arange(N) < N // 2
    act = (1 + noise) * predicates[:, 5] * half + (1 + noise) * predicates[:, 6] * ~half
    (found,) = search(columns(act), sparse.csc_matrix(predicates), half)
    assert found.predicates == (5,)
    assert found.r_search > 0.9
    assert abs(found.r_held_out) < 0.1


def test_the_sign_counts() -> None:
    """A feature that is silent exactly where a predicate holds is not described by it."""
    predicates, noise = made()
    predicates = predicates[:, :3]
    act = (1 + noise) * (1 - predicates[:, 1])
    (found,) = search(columns(act), sparse.csc_matrix(predicates), np.arange(N) % 2 == 0)
    assert found.predicates != (1,)
    assert found.r_search < 0.2


def test_silent_features_are_left_out() -> None:
    predicates, noise = made()
    rare = np.zeros(N)
    rare[:4] = 1
    found = search(
        columns(rare, noise * predicates[:, 0]),
        sparse.csc_matrix(predicates),
        np.arange(N) % 2 == 0,
    )
    assert [one.feature for one in found] == [1]


def test_features_active_on_one_half_alone_are_left_out() -> None:
    predicates, noise = made()
    half = np.arange(N) % 2 == 0
    acts = columns(predicates[:, 1] * half, predicates[:, 1] * ~half, noise * predicates[:, 2])
    assert [one.feature for one in search(acts, sparse.csc_matrix(predicates), half)] == [2]


def test_shapes_that_do_not_fit_are_refused() -> None:
    predicates, noise = made()
    with pytest.raises(ValueError, match="tokens against"):
        pearson(columns(noise[:10]), sparse.csc_matrix(predicates))
    with pytest.raises(ValueError, match="both halves"):
        search(columns(noise), sparse.csc_matrix(predicates), np.ones(N, dtype=bool))
    with pytest.raises(ValueError, match="joins 1"):
        combined("and", sparse.csc_matrix(predicates), (1,))
