"""Null models find what is there, on train and elsewhere, and nothing where nothing is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from tiny_nulls import ablations, patching

from introspect_bench.tasks.nulls.ablations import fit_ablations, siblings_answers
from introspect_bench.tasks.nulls.columns import Columns, texts
from introspect_bench.tasks.nulls.heads import copied
from introspect_bench.tasks.nulls.null import Null
from introspect_bench.tasks.nulls.patching import fit_patching
from introspect_bench.tasks.nulls.vectors import group_others, group_ranks


def by_name(nulls: list[Null]) -> Mapping[tuple[str, str], Null]:
    found = {(null.name, null.access): null for null in nulls}
    assert len(found) == len(nulls)
    return found


@pytest.fixture(scope="module")
def read() -> Mapping[tuple[str, str], Null]:
    """Nulls where the vector tells the verdict."""
    train, test = (patching(40, seed=seed, told_by="vector") for seed in (1, 2))
    return by_name(fit_patching(train, {"test": test}))


def test_a_probe_reads_the_vector(read: Mapping[tuple[str, str], Null]) -> None:
    for name in ("linear probe", "boosted trees"):
        metrics = read[name, "runs-target"].metrics
        assert metrics["test"]["verdict_auroc"] == 1.0
        assert metrics["train"]["verdict_auroc"] == 1.0


def test_who_knows_the_clean_answer_has_it_right(read: Mapping[tuple[str, str], Null]) -> None:
    """What comes after it is the next city, which the relation of clean answer and outcome says."""
    metrics = read["linear probe", "runs-target"].metrics["test"]
    assert metrics["exact_match_unchanged"] == 1.0
    assert metrics["exact_match_changed"] == 1.0
    assert read["coin", "runs-target"].metrics["test"]["balanced_exact_match"] == 0.5


def test_words_guess_a_clean_answer_that_the_text_names(
    read: Mapping[tuple[str, str], Null],
) -> None:
    metrics = read["linear probe", "words"].metrics["test"]
    assert metrics["exact_match_unchanged"] == 1.0


def test_what_is_copied_are_whole_words_the_last_one_first() -> None:
    known = texts(["Rome", "Oslo", "York", "New York"])
    shown = texts(["Oslo or New York?", "Romeo", "Rome, not Oslo"])
    (found,) = copied(known, [shown])
    assert found[:, :3].tolist() == [
        ["New York", "York", "Oslo"],
        ["", "", ""],
        ["Oslo", "Rome", ""],
    ]


def test_one_verdict_always_is_nothing(read: Mapping[tuple[str, str], Null]) -> None:
    for name, right in (("always unchanged", 0.5), ("always changed", 0.0)):
        metrics = read[name, "runs-target"].metrics["test"]
        assert (metrics["balanced_exact_match"], metrics["exact_match"]) == (0.0, right)


def test_nothing_is_found_where_nothing_is() -> None:
    """Also not on train, out of fold; and a null that sees no vector knows no more than a coin."""
    train, test = (patching(60, seed=seed, told_by="nothing") for seed in (3, 4))
    found = by_name(fit_patching(train, {"test": test}))
    for name in ("linear probe", "boosted trees", "text regression"):
        auroc = found[name, "words"].metrics["train"]["verdict_auroc"]
        assert auroc is not None
        assert 0.35 < auroc < 0.65
    coin = found["coin", "runs-target"].metrics["test"]["balanced_exact_match"]
    assert coin == pytest.approx(0.5)


def test_it_is_the_same_every_time(read: Mapping[tuple[str, str], Null]) -> None:
    train, test = (patching(40, seed=seed, told_by="vector") for seed in (1, 2))
    assert by_name(fit_patching(train, {"test": test})) == read


def parts(seed: int, *, told: bool) -> Columns:
    kinds = [ablations(80, seed=seed, kind=k, told=told) for k in ("hint", "context", "which")]
    return Columns(
        fields=[row for part in kinds for row in part.fields],
        group=np.arange(240),
        **{
            name: np.concatenate([getattr(part, name) for part in kinds])
            for name in ("kind", "text", "clean", "outcome", "part", "source")
        },
    )


def bag(texts: Sequence[str]) -> np.ndarray:
    """Stands in for a sentence encoder: which words are there."""
    words = ("surely", "maybe", "perhaps", "Surely", "Maybe")
    return np.array([[word in text for word in words] for text in texts], dtype=float)


@pytest.mark.parametrize("told", [True, False])
def test_regressions_find_a_word_that_tells(told: bool) -> None:
    found = by_name(fit_ablations(parts(5, told=told), {"test": parts(6, told=told)}, bag))
    for name in ("text regression", "boosted trees", "sentence embeddings"):
        metrics = found[name, "words"].metrics["test"]
        for kind in ("hint", "context"):
            auroc = metrics[f"{kind}_verdict_auroc"]
            assert auroc is not None
            assert auroc == 1.0 if told else 0.3 < auroc < 0.7
        accuracy = metrics["which_accuracy"]
        assert accuracy is not None
        assert accuracy == 1.0 if told else accuracy < 0.45
    metrics = found["text regression", "runs-target"].metrics["test"]
    balanced = [metrics[f"{kind}_balanced_exact_match"] for kind in ("hint", "context")]
    accuracy = metrics["which_accuracy"]
    assert accuracy is not None
    rescaled = (accuracy - 0.25) / 0.75
    assert metrics["kind_mean"] == pytest.approx(float(np.mean([*balanced, rescaled])))
    assert all(name.endswith("in view") is False for name, _ in found)  # nobody has siblings


def test_siblings_are_the_others_of_the_group() -> None:
    one = patching(2, seed=7, told_by="nothing")
    values = np.arange(8.0)
    others = group_others(one, values[:, None])[:, 0]
    assert others.tolist() == [2, 5 / 3, 4 / 3, 1, 6, 17 / 3, 16 / 3, 5]
    assert group_ranks(one, np.array([1.0, 1, 3, 2, 0, 0, 0, 0])).tolist() == [
        *(1 / 6, 1 / 6, 1.0, 2 / 3),
        *(0.5, 0.5, 0.5, 0.5),
    ]
    assert siblings_answers(one)[:, 0].tolist() == [*one.clean]
