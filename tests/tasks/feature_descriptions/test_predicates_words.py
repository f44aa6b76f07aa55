"""Units: words put together from tokens, whatever the tokens are."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_predicates import PieceTokenizer, windows_of
from tokenizers import Tokenizer
from tokenizers.models import BPE

from introspect_bench.tasks.feature_descriptions.predicates.words import (
    Units,
    annotate,
    cut,
    piece_bytes,
)


def _shown(units: Units) -> list[tuple[str, str, int, int]]:
    return [
        (*units.types[n], int(first), int(last))
        for n, first, last in zip(units.type_of, units.first_token, units.last_token, strict=True)
    ]


def test_a_text_is_cut_into_units_of_six_kinds() -> None:
    text = "Don\u2019t say \u201cit's 1,250.5\u201d...\n\nO'Brien, the 21st"
    assert [(kind, text[a:b]) for kind, a, b in cut(text)] == [
        ("word", "Don\u2019t"),
        ("word", "say"),
        ("mark", "\u201c"),
        ("word", "it"),
        ("clitic", "'s"),
        ("number", "1,250.5"),
        ("mark", "\u201d"),
        ("mark", "..."),
        ("newline", "\n\n"),
        ("word", "O'Brien"),
        ("mark", ","),
        ("word", "the"),
        ("number", "21st"),
    ]


def test_hyphens_and_underscores_part_words_but_accents_do_not() -> None:
    text = "well-known foo_bar e\u0301te\u0301"
    cuts = [text[a:b] for kind, a, b in cut(text) if kind == "word"]
    assert cuts == ["well", "known", "foo", "bar", "e\u0301te\u0301"]


def test_a_word_of_several_tokens_spans_all_of_them() -> None:
    windows, tokenizer = windows_of(["The", " un", "believ", "able", ' end."'])
    assert _shown(annotate(windows, tokenizer)) == [
        ("word", "The", 0, 0),
        ("word", "unbelievable", 1, 3),
        ("word", "end", 4, 4),
        ("mark", ".", 4, 4),
        ("mark", '"', 4, 4),
    ]


def test_units_do_not_cross_windows() -> None:
    windows, tokenizer = windows_of([*[" a"] * 31, " un"], ["der", " b"])
    units = annotate(windows, tokenizer)
    assert _shown(units)[31:] == [
        ("word", "un", 31, 31),
        ("word", "der", 32, 32),
        ("word", "b", 33, 33),
    ]
    assert units.window_of.tolist()[30:] == [0, 0, 1, 1]


def test_characters_split_over_tokens_count_once_and_lone_bytes_are_fragments() -> None:
    raw = "\u6771".encode()
    windows, tokenizer = windows_of([b" " + raw[:1], raw[1:], " x", raw[:1], " y", raw[2:]])
    assert _shown(annotate(windows, tokenizer)) == [
        ("word", "\u6771", 0, 1),
        ("word", "x", 2, 2),
        ("fragment", "\udce6", 3, 3),
        ("word", "y", 4, 4),
        ("fragment", "\udcb1", 5, 5),
    ]


def test_tokens_of_spaces_belong_to_no_unit() -> None:
    windows, tokenizer = windows_of([" ", "1", "9", "   ", " a"])
    assert _shown(annotate(windows, tokenizer)) == [("number", "19", 1, 2), ("word", "a", 4, 4)]


def test_a_vocabulary_with_another_space_is_read_as_text_and_bytes() -> None:
    model = BPE(vocab={"<0xE6>": 0, "\u2581the": 1, "<s>": 2}, merges=[])
    assert piece_bytes(Tokenizer(model)) == (b"\xe6", b" the", b"<s>")


def test_no_windows_have_no_units() -> None:
    units = annotate(np.empty((0, 32), np.int32), PieceTokenizer([b"a"]))
    assert units.types == ()
    assert len(units.type_of) == 0


@pytest.mark.parametrize("shape", [(2, 31), (32,)])
def test_windows_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(n, 32\)"):
        annotate(np.zeros(shape, np.int32), PieceTokenizer([b"a"]))


@pytest.mark.parametrize("index", [-1, 3])
def test_ids_outside_the_vocabulary_are_refused(index: int) -> None:
    windows = np.full((1, 32), index)
    with pytest.raises(ValueError, match=r"0\.\.2"):
        annotate(windows, PieceTokenizer([b"a"]))
