"""Baselines that learn from solved queries: from the nearest one, or from the input alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_lessons import (
    ABLATIONS,
    CITIES,
    PATCHING,
    ablated,
    ablation_splits,
    exact,
    make_suite,
    patched,
    patching_splits,
    prompts_of,
    replies_of,
    unit,
)

from introspect_bench.baselines import make_baseline
from introspect_bench.baselines.input_only import ablation_features, patching_features
from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.prompts import build_prompt, render_all
from introspect_bench.benchmark.records import Query
from introspect_bench.benchmark.suite.freeze import Measured
from introspect_bench.benchmark.suite.suite import Suite
from introspect_bench.benchmark.task import Task


@pytest.fixture
def patching_suite(tmp_path: Path) -> Suite:
    return make_suite(tmp_path / "patching", PATCHING, patching_splits())


@pytest.fixture
def ablation_suite(tmp_path: Path) -> Suite:
    return make_suite(tmp_path / "ablations", ABLATIONS, ablation_splits())


def test_nearest_neighbour_compares_direction_within_kind_and_layers(tmp_path: Path) -> None:
    train = [
        patched(1, clean="Kyoto", outcome="Rome", vector=unit(0)),
        patched(2, clean="Kyoto", outcome="Oslo", vector=unit(1, 50.0)),
        patched(3, clean="Kyoto", outcome="Lima", vector=unit(0), layers=(24, 29)),
        patched(4, clean="Kyoto", outcome="Cairo", vector=unit(0), kind="last"),
    ]
    # a long vector is not nearer: by dot product the second would win
    test = [
        patched(5, clean="Bonn", outcome="Rome", vector=unit(0) + 0.3 * unit(1)),
        patched(6, clean="Bonn", outcome="Lima", vector=unit(1), layers=(24, 29)),
        patched(7, clean="Bonn", outcome="Oslo", vector=unit(1), layers=(12, 17)),
    ]
    splits = {"train": train, "validation": train[:1], "test": test}
    assert exact("nearest-neighbour", PATCHING, make_suite(tmp_path, PATCHING, splits)) == 1.0


def test_a_part_of_train_hides_the_rest_of_it(tmp_path: Path) -> None:
    train = [patched(n, clean="Kyoto", outcome=CITIES[n], vector=unit(n)) for n in range(5)]
    splits = {"train": train, "validation": train[:1], "test": train}
    whole = make_suite(tmp_path, PATCHING, splits)
    smaller = [replace(whole, n_train=n) for n in (1, 3, 5)]
    seen = [{query.id for query in suite.queries("train")} for suite in smaller]
    assert [len(one) for one in seen] == [1, 3, 5]
    assert seen[0] < seen[1] < seen[2]
    assert [set(suite.truth("train")) for suite in smaller] == seen
    assert len(smaller[0].queries("test")) == len(smaller[0].truth("test")) == 5
    right = [exact("nearest-neighbour", PATCHING, suite) for suite in smaller]
    assert right == pytest.approx([0.2, 0.6, 1.0])
    with pytest.raises(UsageError, match="6 training queries: there are 5"):
        replace(whole, n_train=6).queries("train")


def test_nearest_neighbour_needs_vectors(patching_suite: Suite, ablation_suite: Suite) -> None:
    with pytest.raises(UsageError, match="reads vectors"):
        make_baseline(
            "nearest-neighbour",
            task=PATCHING,
            suite=patching_suite,
            split="test",
            use_vectors=False,
        )
    make_baseline(
        "nearest-neighbour", task=ABLATIONS, suite=ablation_suite, split="test", use_vectors=False
    )


def test_nearest_neighbour_reads_text_and_removed_part(ablation_suite: Suite) -> None:
    assert exact("nearest-neighbour", ABLATIONS, ablation_suite, "hint") == 1.0
    assert exact("nearest-neighbour", ABLATIONS, ablation_suite, "context") == 1.0
    assert exact("nearest-neighbour", ABLATIONS, ablation_suite, "word") in (0.0, 1.0)


def test_tf_idf_weights_are_those_of_scikit_learn(ablation_suite: Suite) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    from introspect_bench.baselines.nearest_neighbour import learn_weights

    queries = ablation_suite.queries("train")
    texts = [f" {query.fields['text']} " for query in queries]
    theirs = TfidfVectorizer(analyzer="char", ngram_range=(3, 4), norm="l2").fit(texts)
    ours = learn_weights(queries)
    # the removed part lies within the text, so it adds no n-gram but those at its own ends
    shared = [gram for gram in theirs.get_feature_names_out() if gram in ours.index]
    assert len(shared) > 100
    rows = ours.rows(queries)[:, : len(ours.index)].toarray()
    kept = [ours.index[gram] for gram in shared]
    columns = [theirs.vocabulary_[gram] for gram in shared]
    np.testing.assert_allclose(
        rows[:, kept], theirs.transform(texts).toarray()[:, columns], atol=1e-5
    )


def test_input_only_learns_cells_and_back_off(patching_suite: Suite, ablation_suite: Suite) -> None:
    # late layers never change, but the constant's content is another query's
    explainer, card = make_baseline("input-only", task=PATCHING, suite=patching_suite, split="test")
    replies = replies_of(explainer, PATCHING, patching_suite)
    kinds = {query.id: query.kind for query in patching_suite.queries("test")}
    late = {reply for key, reply in replies.items() if kinds[key] == "last"}
    assert late == {"unchanged: Kyoto"}
    assert any("layers" in names for names in card.settings["features"])
    assert exact("rule-of-thumb", ABLATIONS, ablation_suite, "hint") == 1.0


def test_input_only_carries_what_is_stated_to_new_texts(tmp_path: Path) -> None:
    """The outcome is always the sentence's own city; the cities of the test are new."""
    splits: dict[str, Sequence[Measured]] = {
        split: [
            ablated(
                i,
                removed=f"The city of Ann is {name}{i}.",
                clean="Bern",
                outcome=f"{name}{i}",
                kind="context",
            )
            for i in range(10)
        ]
        for split, name in (("train", "Aa"), ("validation", "Bb"), ("test", "Cc"))
    }
    suite = make_suite(tmp_path, ABLATIONS, splits)
    assert exact("rule-of-thumb", ABLATIONS, suite) == 1.0
    assert exact("constant", ABLATIONS, suite) == 0.0


def test_input_only_never_looks_at_vectors(patching_suite: Suite) -> None:
    explainer, _ = make_baseline("input-only", task=PATCHING, suite=patching_suite, split="test")
    blind = [
        build_prompt(question, None, ())
        for question in render_all(PATCHING, patching_suite.queries("test"))
    ]
    assert explainer.complete(blind) == explainer.complete(prompts_of(PATCHING, patching_suite))


def features(task: Task, one: Measured) -> Any:
    query = Query(id="0" * 16, group="0" * 16, kind=one.kind, fields=one.fields)
    return (patching_features if task is PATCHING else ablation_features)(query)


def test_features_of_a_patching_query() -> None:
    one = patched(1, clean="a", outcome="a", vector=unit(0), shown="St. John's")
    assert features(PATCHING, one) == {
        "relation": "city",
        "kind": "last-subject",
        "layers": "0-5",
        "stated": "St. John's",
    }


@pytest.mark.parametrize(
    ("removed", "letter", "mention", "stated"),
    [
        ("I think it is B.", "B", "none", "B"),
        ("The city of Ann is New York City.", "", "none", "New York City"),
        ("The color of Which is blue.", "", "all", "blue"),
    ],
)
def test_features_of_an_ablation_query(
    removed: str, letter: str, mention: str, stated: str
) -> None:
    found = features(ABLATIONS, ablated(1, removed=removed, clean="a", outcome="a", kind="context"))
    assert (found["letter"], found["mention"], found["stated"]) == (letter, mention, stated)
