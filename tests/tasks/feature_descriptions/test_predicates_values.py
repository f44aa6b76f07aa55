"""What predicates hold for: every family on a window made by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from tiny_predicates import positions, windows_of

from introspect_bench.benchmark.errors import UsageError
from introspect_bench.tasks.feature_descriptions.predicates import names
from introspect_bench.tasks.feature_descriptions.predicates.evaluate import evaluate_named

DOG = ["The", " big", " dog", " ate", ".", " Then", " the", " cats", " r", "an", " away", ","]
YEAR = ["In", " ", "1", "9", "8", "4", " he", " paid", " $", "3", ".", "5", " or", " 1", "2"]
QUOTE = ["He", "'s", " said", ' "', "no", " way", '."', " Mr", ".", " Lee", "?", "\n\n", "End"]
LIST = ["-", " one", "\n", "*", " two", "\n", "#", " Top", "\n", "a", "(", "b", "[", "c", "]", ")"]
NAMES = ["Then", " Anna", " Weber", " in", " Paris", "ia", "n", " as", " Anna", " Weber", "--"]
MUSIC = [
    " song",
    " was",
    " of",
    " piano",
    ",",
    " melody",
    " and",
    " drum",
    ",",
    " allegro",
    " June",
]
CODE = ["if", " {", "x", " =", " y", ";", "}", " <", "b", ">", "\u00a7", "é", "東"]
BYTES: list[str | bytes] = [b" \xe6", b"\x9d", "x", " ", "i", "Pho", "ne", " NASA", " X"]

CASES: list[tuple[str, Sequence[str | bytes], list[int]]] = [
    ("kind:word", YEAR, [0, 6, 7, 12]),
    ("kind:fragment", BYTES, [0, 1]),
    ("word:the", DOG, [0, 6]),
    ("word:ran", DOG, [8, 9]),
    ("clitic:s", QUOTE, [1]),
    ("numeral:3.5", YEAR, [9, 10, 11]),
    ("mark:comma", DOG, [11]),
    ("mark:double-hyphen", NAMES, [10]),
    ("mark:U+00A7", CODE, [10]),
    ("break:paragraph", QUOTE, [11]),
    ("break:line", LIST, [2, 5, 8]),
    ("mark-kind:closing-bracket", LIST, [14, 15]),
    ("mark-kind:currency", YEAR, [8]),
    ("number:year", YEAR, [2, 3, 4, 5]),
    ("number:year-198x", YEAR, [2, 3, 4, 5]),
    ("number:decimal", YEAR, [9, 10, 11]),
    ("number:2-digit", YEAR, [13, 14]),
    ("case:capitalised", DOG, [0, 5]),
    ("case:mixed", BYTES, [2, *range(4, 7)][1:]),
    ("case:all-caps", BYTES, [7]),
    ("case:single-capital", BYTES, [8]),
    ("list:month", MUSIC, [10]),
    ("list:title", QUOTE, [7]),
    ("pos:function-word", DOG, [0, 6]),
    ("pos:past-verb", DOG, [3, 8, 9]),
    ("pos:plural-noun", DOG, [7]),
    ("pos:proper-noun", NAMES, [1, 2, 4, 5, 6, 8, 9]),
    ("pos:adjective", DOG, [1]),
    ("suffix:ian", NAMES, [4, 5, 6]),
    ("prefix:par", NAMES, [4, 5, 6]),
    ("script:han", CODE, [11, 12]),
    ("script:accented", CODE, [11, 12]),
    ("lemma:run", DOG, [8, 9]),
    ("lemma:cat", DOG, [7]),
    ("noun-file:animal", DOG, [2, 7]),
    ("verb-file:consumption", DOG, [3]),
    ("about:music", MUSIC, [0, 3, 5, 7]),
    ("piece:%20the", DOG, [6]),
    ("piece:%E6%9D", BYTES, []),
    ("piece:%9D", BYTES, [1]),
    ("previous-piece:%20the", DOG, [7]),
    ("piece-place:continuation", DOG, [9]),
    ("piece-place:spaces", YEAR, [1]),
    ("piece-place:number-later", YEAR, [3, 4, 5, 10, 11, 14]),
    ("place:sentence-start", DOG, [5]),
    ("place:sentence-second", DOG, [6]),
    ("place:sentence-end", QUOTE, [6, 10]),
    ("place:line-start", LIST, [3, 6, 9]),
    ("place:after-two-commas", MUSIC, [9, 10]),
    ("inside:quotation", QUOTE, [4, 5, 6]),
    ("inside:parentheses", LIST, [11, 12, 13, 14]),
    ("inside:square-brackets", LIST, [13]),
    ("inside:braces", CODE, [2, 3, 4, 5]),
    ("inside:tag", CODE, [8]),
    ("line:list-item", LIST, [0, 1, 3, 4]),
    ("line:heading", LIST, [6, 7]),
    ("repeat:word", DOG, [6]),
    ("repeat:name", NAMES, [8, 9]),
    ("repeat:pair", NAMES, [9]),
    ("repeat:after-repeated", NAMES, [9, 10]),
    ("name:later", NAMES, [2, 9]),
    ("genre:code", CODE, [6, 7, 8, 9, 10, 11, 12]),
    ("genre:past", DOG, [8, 9, 10, 11]),
    ("language:french", [" le", " chat", " est", " dans", " la", " rue"], [3, 4, 5]),
    ("previous-word:the", DOG, [1, 7]),
    ("second-previous-word:the", DOG, [2, 8, 9]),
    ("lately-word:dog", DOG, [3, 4, 5]),
    ("sentence-word:dog", DOG, [3, 4]),
    ("earlier-word:dog", DOG, list(range(3, 12))),
    ("previous-kind:number", YEAR, [6, 12]),
    ("previous-mark:comma", MUSIC, [5, 9]),
    ("topic-about:music", MUSIC, list(range(3, 11))),
]


@pytest.mark.parametrize(("name", "pieces", "expected"), CASES)
def test_a_predicate_holds_just_there(
    name: str, pieces: Sequence[str | bytes], expected: list[int]
) -> None:
    assert positions(name, pieces) == expected


def test_every_family_and_relation_has_a_case_that_holds_and_fails() -> None:
    parsed = [names.parse(name) for name, _, held in CASES if held]
    families = (*names.PROPERTY_FAMILIES, *names.PLACE_FAMILIES, *names.PIECE_FAMILIES)
    assert {name.family for name in parsed} == set(families)
    assert {name.relation for name in parsed} == {"", *names.RELATIONS}
    assert all(len(held) < 32 for _, _, held in CASES)


def test_a_name_alone_or_among_others_has_the_same_values() -> None:
    together = list(dict.fromkeys(name for name, _, _ in CASES))
    windows, tokenizer = windows_of(DOG, YEAR, QUOTE, LIST, NAMES, MUSIC, CODE, BYTES)
    values = evaluate_named(together, windows, tokenizer)
    assert values.shape == (8 * 32, len(together))
    assert values.dtype == np.uint8
    assert set(values.data.tolist()) == {1}
    for place, name in enumerate(together):
        alone = evaluate_named([name], windows, tokenizer)
        assert (alone != values[:, [place]]).nnz == 0, name


def test_other_windows_and_chunks_change_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ["earlier-word:dog", "topic-about:music", "previous-word:the", "inside:tag"]
    windows, tokenizer = windows_of(DOG, MUSIC, CODE, DOG, NAMES)
    whole = evaluate_named(asked, windows, tokenizer)
    monkeypatch.setattr("introspect_bench.tasks.feature_descriptions.predicates.evaluate.CHUNK", 2)
    assert (evaluate_named(asked, windows, tokenizer) != whole).nnz == 0
    assert (evaluate_named(asked, windows[3:4], tokenizer) != whole[96:128]).nnz == 0


def test_no_windows_give_no_rows() -> None:
    windows, tokenizer = windows_of(DOG)
    assert evaluate_named(["word:the"], windows[:0], tokenizer).shape == (0, 1)


def test_windows_of_odd_tokens_only_are_evaluated() -> None:
    asked = [*names.wordings("unit"), *names.wordings("token"), "kind:word", "lately-kind:fragment"]
    rows: list[list[str | bytes]] = [
        [b""],
        [b" "] * 32,
        [b"\xff"] * 32,
        [b"\n"] * 32,
        ["'", '"', "''", "_", "\u0660"],
    ]
    windows, tokenizer = windows_of(*rows)
    values = evaluate_named(asked, windows, tokenizer)
    assert values[:, [asked.index("kind:word")]].nnz == 0
    assert values[:, [asked.index("lately-kind:fragment")]].nnz == 0


@pytest.mark.parametrize(
    "name",
    [
        *("word", "word:", "colour:red", "previous-place:line-start", "place:nowhere"),
        *("noun-file:no such thing", "list:none", "script:runic", "topic-word:the"),
        *("next-word:a", "place:token-first", "place:tokens-1-4", "inside:question"),
        *(
            "and(word:a)",
            "and(word:b,word:a)",
            "or(word:a,word:a)",
            "and(word:a,or(word:b,word:c))",
        ),
    ],
)
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        positions(name, DOG)
