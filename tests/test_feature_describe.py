"""Descriptions of made-up features on made-up text: the right words, verified on the other half."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse
from tiny_predicates import windows_of

from introspect_bench.benchmark.errors import CheckFailedError
from introspect_bench.tasks.feature_descriptions.describe import (
    describe_features,
    explained,
    useful_predicates,
)
from introspect_bench.tasks.feature_descriptions.predicates.evaluate import evaluate_named
from introspect_bench.tasks.feature_descriptions.predicates.lexicon import shipped_lexicon

WORDS = (" the", " king", " queen", " of", " France", " 12", ",", ".", " walked", " in", " June")


@pytest.fixture(scope="module")
def text() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    rows = [[WORDS[i] for i in rng.integers(len(WORDS), size=32)] for _ in range(120)]
    return windows_of(*rows)


def test_features_are_described_by_what_they_respond_to(text: tuple[Any, Any]) -> None:
    ids, tokenizer = text
    lexicon, searched = shipped_lexicon(), np.arange(len(ids)) % 2 == 0
    strength = 1 + np.random.default_rng(1).random((ids.size, 1))
    wanted = ("word:king", "previous-word:the", "or(word:france,word:june)")
    truth = evaluate_named(wanted, ids, tokenizer).toarray()
    noise = np.random.default_rng(2).random((ids.size, 1)) * (strength > 1.9)
    activations = sparse.csc_matrix(np.hstack([truth * strength, noise]))
    tested = useful_predicates(ids, searched, tokenizer, lexicon, at_least=5, least_predicates=20)
    found = describe_features(activations, tested, searched, lexicon)
    assert [one.feature for one in found] == [0, 1, 2, 3]
    # whatever it is called, it holds where the feature is active
    values = evaluate_named([one.name for one in found], ids, tokenizer).toarray()
    for column in range(3):
        np.testing.assert_array_equal(values[:, column], truth[:, column])
        assert found[column].r_held_out > 0.9
        assert len(found[column].phrases) >= 3
    assert found[3].r_held_out < 0.3
    curve = explained(found)
    assert curve["0.9"] == curve["0.5"] == 0.75
    assert list(curve.values()) == sorted(curve.values(), reverse=True)


def test_too_uniform_a_text_is_refused(text: tuple[Any, Any]) -> None:
    ids, tokenizer = text
    with pytest.raises(CheckFailedError, match="3000 are needed"):
        useful_predicates(ids, np.arange(len(ids)) % 2 == 0, tokenizer, shipped_lexicon())


def test_no_features_have_no_curve() -> None:
    with pytest.raises(ValueError, match="no features"):
        explained([])
