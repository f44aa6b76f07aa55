"""The library: its names, its wordings, what is pruned and what is joined."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy import sparse
from tiny_predicates import windows_of

from introspect_bench.benchmark.errors import CheckFailedError, UsageError
from introspect_bench.tasks.feature_descriptions.predicates import library as libraries
from introspect_bench.tasks.feature_descriptions.predicates.evaluate import (
    evaluate,
    evaluate_named,
)
from introspect_bench.tasks.feature_descriptions.predicates.lexicon import shipped_lexicon
from introspect_bench.tasks.feature_descriptions.predicates.library import (
    Frequent,
    build_library,
    count_frequent,
    prune,
)
from introspect_bench.tasks.feature_descriptions.predicates.names import join, parse, split
from introspect_bench.tasks.feature_descriptions.predicates.phrases import (
    phrases,
    reversed_phrases,
)
from introspect_bench.tasks.feature_descriptions.predicates.predicate import Predicate, combine

ROWS = [
    ["The", " dog", " r", "an", " and", " the", " dogs", " run", "ning", " r", "an", '."'],
    [" The", " runn", "er", " runs", ",", " 12", " run", "ners", " r", "an", "."],
]


@pytest.fixture(scope="module")
def frequent() -> Frequent:
    windows, tokenizer = windows_of(*ROWS)
    return count_frequent(windows, tokenizer, shipped_lexicon(), at_least=2)


@pytest.fixture(scope="module")
def library(frequent: Frequent) -> tuple[Predicate, ...]:
    return build_library(shipped_lexicon(), frequent)


def test_frequent_members_are_counted_in_the_windows(frequent: Frequent) -> None:
    assert frequent.members["word"] == ("ran", "the")
    assert frequent.members["mark"] == ("full-stop",)
    assert frequent.members["lemma"] == ("run", "dog", "runner")
    assert frequent.members["prefix"] == ()  # four distinct words are needed
    assert frequent.pieces == ("%20r", "an", "%20run")


def test_every_predicate_has_three_wordings_and_shares_none(
    library: tuple[Predicate, ...],
) -> None:
    assert len(library) > 3_000
    counts = Counter(phrase for predicate in library for phrase in predicate.phrases)
    assert counts.most_common(1)[0][1] == 1
    for predicate in library:
        assert len(predicate.phrases) >= 3
        assert all(phrase == phrase.strip() and "{}" not in phrase for phrase in predicate.phrases)


def test_names_carry_everything(library: tuple[Predicate, ...]) -> None:
    assert len({predicate.name for predicate in library}) == len(library)
    for predicate in library:
        name = parse(predicate.name)
        assert predicate.family == name.kind
        assert predicate.name == f"{name.kind}:{name.argument}"
        assert phrases(predicate.name, shipped_lexicon()) == predicate.phrases
        joined = join("and", predicate.name, "word:zebra")
        assert split(joined) == ("and", *sorted((predicate.name, "word:zebra")))


def test_the_library_is_the_same_again(library: tuple[Predicate, ...], frequent: Frequent) -> None:
    assert build_library(shipped_lexicon(), frequent) == library


def test_two_predicates_of_one_wording_are_refused(
    frequent: Frequent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def same(name: str, _lexicon: object) -> tuple[str, ...]:
        return (f"the letter {name[-1]}",)

    monkeypatch.setattr(libraries, "phrases", same)
    with pytest.raises(CheckFailedError, match="are both 'the letter"):
        build_library(shipped_lexicon(), frequent)


def test_values_of_a_library_are_those_of_its_names(library: tuple[Predicate, ...]) -> None:
    windows, tokenizer = windows_of(*ROWS)
    values = evaluate(library, windows, tokenizer)
    assert values.shape == (64, len(library))
    some = [0, 7, 900, len(library) - 1]
    named = evaluate_named([library[place].name for place in some], windows, tokenizer)
    assert (named != values[:, some]).nnz == 0
    assert (evaluate(library, windows, tokenizer) != values).nnz == 0


def test_pruning_drops_the_rare_the_common_and_later_copies(
    library: tuple[Predicate, ...],
) -> None:
    columns = np.array(
        [[1, 0, 1, 1, 0, 1], [1, 1, 1, 1, 0, 0], [0, 1, 0, 1, 0, 0], [0, 0, 0, 1, 0, 1]]
    )
    values = sparse.csc_matrix(columns.astype(np.uint8))
    assert prune(library[:6], values, at_least=2, share=0.5) == (0, 1, 5)
    assert prune(library[:6], values, at_least=1, share=1.0) == (0, 1, 3, 5)
    with pytest.raises(ValueError, match="as many columns"):
        prune(library[:5], values)


def test_joining_gives_name_wordings_and_values() -> None:
    lexicon = shipped_lexicon()
    windows, tokenizer = windows_of(*ROWS)
    a, b = (
        Predicate(name=name, family=parse(name).kind, phrases=phrases(name, lexicon))
        for name in ("word:the", "case:capitalised")
    )
    held = evaluate([a, b], windows, tokenizer)
    for kind in ("and", "or"):
        made, values = combine(kind, a, b, (held[:, [0]], held[:, [1]]), lexicon)
        assert made.name == f"{kind}(case:capitalised,word:the)"
        assert made.family == kind
        assert len(set(made.phrases)) >= 3
        assert combine(kind, b, a, (held[:, [1]], held[:, [0]]), lexicon)[0] == made
        assert (evaluate_named([made.name], windows, tokenizer) != values).nnz == 0
    assert values.sum() == 3


def test_unknown_joins_are_refused() -> None:
    with pytest.raises(UsageError, match="and or or"):
        join("xor", "word:a", "word:b")


def test_the_opposite_says_everything_except() -> None:
    lexicon = shipped_lexicon()
    assert reversed_phrases("word:during", lexicon) == (
        "everything except the word 'during'",
        "all tokens other than occurrences of the word 'during'",
        "anything but the word 'during'",
    )
    assert len(set(reversed_phrases("or(list:month,mark:comma)", lexicon))) == 3
