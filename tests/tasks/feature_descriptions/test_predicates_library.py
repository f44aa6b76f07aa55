"""The library: its names, its wordings, what is pruned and what is joined."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy import sparse
from tiny_predicates import windows_of

from introspect_bench.benchmark.errors import CheckFailedError
from introspect_bench.tasks.feature_descriptions.predicates import library as libraries
from introspect_bench.tasks.feature_descriptions.predicates.evaluate import evaluate_named
from introspect_bench.tasks.feature_descriptions.predicates.library import (
    Frequent,
    build_library,
    count_frequent,
    prune,
)
from introspect_bench.tasks.feature_descriptions.predicates.names import parse, phrases

ROWS = [
    ["The", " dog", " r", "an", " and", " the", " dogs", " run", "ning", " r", "an", '."'],
    [" The", " runn", "er", " runs", ",", " 12", " run", "ners", " r", "an", "."],
]


@pytest.fixture(scope="module")
def frequent() -> Frequent:
    windows, tokenizer = windows_of(*ROWS)
    return count_frequent(windows, tokenizer, at_least=2)


@pytest.fixture(scope="module")
def library(frequent: Frequent) -> dict[str, tuple[str, ...]]:
    return build_library(frequent)


def test_frequent_members_are_counted_in_the_windows(frequent: Frequent) -> None:
    assert frequent.members["word"] == ("ran", "the")
    assert frequent.members["mark"] == ("full-stop",)
    assert frequent.members["lemma"] == ("run", "dog", "runner")
    assert frequent.members["prefix"] == ()  # four distinct words are needed
    assert frequent.pieces == ("%20r", "an", "%20run")


def test_every_predicate_has_three_wordings_and_shares_none(
    library: dict[str, tuple[str, ...]],
) -> None:
    assert len(library) == 1_766
    counts = Counter(phrase for wordings in library.values() for phrase in wordings)
    assert counts.most_common(1)[0][1] == 1
    for wordings in library.values():
        assert len(wordings) >= 3
        assert all(phrase == phrase.strip() and "{}" not in phrase for phrase in wordings)


def test_names_carry_everything(library: dict[str, tuple[str, ...]]) -> None:
    for name, wordings in library.items():
        parsed = parse(name)
        assert name == (f"{parsed.relation}-" if parsed.relation else "") + parsed.base
        assert phrases(name) == wordings


def test_the_library_is_the_same_again(
    library: dict[str, tuple[str, ...]], frequent: Frequent
) -> None:
    assert list(build_library(frequent).items()) == list(library.items())


def test_two_predicates_of_one_wording_are_refused(
    frequent: Frequent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def same(name: str) -> tuple[str, ...]:
        return (f"the letter {name[-1]}",)

    monkeypatch.setattr(libraries, "phrases", same)
    with pytest.raises(CheckFailedError, match="are both 'the letter"):
        build_library(frequent)


def test_values_of_a_library_are_those_of_its_names(library: dict[str, tuple[str, ...]]) -> None:
    windows, tokenizer = windows_of(*ROWS)
    names = list(library)
    values = evaluate_named(names, windows, tokenizer)
    assert values.shape == (64, len(library))
    some = [0, 7, 900, len(library) - 1]
    named = evaluate_named([names[place] for place in some], windows, tokenizer)
    assert (named != values[:, some]).nnz == 0
    assert (evaluate_named(names, windows, tokenizer) != values).nnz == 0


def test_pruning_drops_the_rare_the_common_and_later_copies() -> None:
    columns = np.array(
        [[1, 0, 1, 1, 0, 1], [1, 1, 1, 1, 0, 0], [0, 1, 0, 1, 0, 0], [0, 0, 0, 1, 0, 1]]
    )
    values = sparse.csc_matrix(columns.astype(np.uint8))
    assert prune(values, at_least=2, share=0.5) == [0, 1, 5]
    assert prune(values, at_least=1, share=1.0) == [0, 1, 3, 5]
