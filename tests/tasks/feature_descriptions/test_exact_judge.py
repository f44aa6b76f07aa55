"""Free text is judged by the exact values of the conjunction that it stands for."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_embedders import LetterEmbedder
from tiny_predicates import windows_of

from introspect_bench.tasks.feature_descriptions.judge.conjunctions import denied, join, wordings_of
from introspect_bench.tasks.feature_descriptions.judge.exact import (
    TOP,
    ExactJudge,
    exact_meaning,
    normal,
)

NAMES = (
    *("word:to", "word:dog", "mark:comma", "pos:noun", "list:question-word", "previous-word:how"),
    *("previous-list:question-word", "previous-pos:noun", "sentence-word:dog", "inside:quotation"),
    *("topic-about:music", "lately-mark:comma", "second-previous-case:capitalised"),
)
CONJUNCTIONS = (
    join(("word:to", "previous-list:question-word")),
    join(("mark:comma", "previous-pos:noun", "inside:quotation")),
    join(("word:dog", "lately-mark:comma")),
    join(("pos:noun", "sentence-word:dog")),
    "previous-word:how",
    "inside:quotation",
    join(("word:dog", "second-previous-case:capitalised")),
)
TEXT = ["How", " to", " dog", ",", " to", " how", " to", " dog"]


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> tuple[ExactJudge, np.ndarray]:
    windows, tokenizer = windows_of(TEXT)
    made = ExactJudge(
        (*NAMES, *CONJUNCTIONS),
        embedder=LetterEmbedder(),
        tokenizer=tokenizer,
        folder=tmp_path_factory.mktemp("phrases"),
    )
    return made, windows


def test_every_wording_means_its_conjunction(judge: tuple[ExactJudge, np.ndarray]) -> None:
    for name in CONJUNCTIONS:
        expected = exact_meaning(name)
        found = judge[0].meanings([*wordings_of(name), denied(name)])
        assert found[:3] == [expected] * 3, name
        assert found[3] == exact_meaning(name, denied=True)


def test_predictions_are_the_values(judge: tuple[ExactJudge, np.ndarray]) -> None:
    made, windows = judge
    texts = ["the word 'to' after a question word", "'to', but not after a question word", ""]
    found = made.predict(texts, np.stack([windows] * 3))
    after = np.zeros(windows.shape, dtype=bool)
    after[0, [1, 6]] = True
    word = np.zeros(windows.shape, dtype=bool)
    word[0, [1, 4, 6]] = True
    np.testing.assert_array_equal(found[0], TOP * after)
    np.testing.assert_array_equal(found[1], TOP * (word & ~after))
    assert not found[2].any()


def test_what_means_nothing_predicts_nothing(judge: tuple[ExactJudge, np.ndarray]) -> None:
    made, windows = judge
    texts = ["zzzzzzzzz qqqqqqqq xxxxxxxx", "the word 'to' after zzzzzzzzz qqqqqqqq xxxxxxxx"]
    assert made.meanings(texts) == [None, None]
    assert not made.predict(texts, np.stack([windows] * 2)).any()
    with pytest.raises(ValueError, match="windows"):
        made.predict(texts, windows)


def test_phrases_are_compared_without_quotes_and_articles() -> None:
    assert normal("The word 'to'.") == normal("word \u201cTo\u201d") == "word to"
