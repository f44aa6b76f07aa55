"""Windows: where they begin, what is dropped, which half they are in, and their file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from program import environment
from safetensors.numpy import save_file
from tiny_models import make_tokenizer
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.tasks.feature_descriptions.windows import (
    WINDOW,
    Windows,
    bos_id,
    concatenate,
    cut,
    cut_documents,
    encode,
    halves,
    load_windows,
    save_windows,
    without_duplicates,
    word_starts,
)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """One token per byte."""
    return make_tokenizer()


def make_metaspace_tokenizer() -> Any:
    """Writes a space as `▁` and drops it at the beginning of a text, as Llama's do."""
    words = ["<s>", "</s>", "▁a", "▁word", "ing", "a", "Ġx", "\n"]
    core = Tokenizer(models.BPE(vocab={w: i for i, w in enumerate(words)}, merges=[]))
    core.decoder = decoders.Metaspace()
    factory: Any = PreTrainedTokenizerFast
    return factory(tokenizer_object=core, bos_token="<s>", eos_token="</s>")


def texts_of(tokenizer: Any, windows: Windows) -> list[str]:
    return [tokenizer.decode(row) for row in windows.ids]


def test_words_begin_with_white_space(tokenizer: Any) -> None:
    starts = word_starts(tokenizer)
    assert starts.shape == (len(tokenizer),)
    found = {tokenizer.decode([token]) for token in np.flatnonzero(starts)}
    assert {" ", "\n", "\t"} <= found
    assert not {"a", "<s>", "</s>", "."} & found


def test_words_begin_however_a_vocabulary_writes_a_space() -> None:
    tokenizer = make_metaspace_tokenizer()
    begins = {
        tokenizer.convert_ids_to_tokens(int(i)) for i in np.flatnonzero(word_starts(tokenizer))
    }
    assert begins == {"▁a", "▁word", "\n"}


def test_windows_begin_at_the_start_and_then_at_words(tokenizer: Any) -> None:
    text = "x" * 40 + " " + "y" * 31 + "zz " + "w" * 31 + " left over"
    windows = cut_documents([text], tokenizer)
    assert texts_of(tokenizer, windows) == ["x" * 32, " " + "y" * 31, " " + "w" * 31]


def test_windows_do_not_overlap_and_a_short_rest_is_dropped(tokenizer: Any) -> None:
    starts = word_starts(tokenizer)
    (ids,) = encode(tokenizer, [" ab" * 60])
    places = cut(ids, starts)
    assert np.diff(places).min() >= WINDOW
    assert starts[ids[places]].all()
    assert places[-1] + WINDOW <= len(ids)
    assert cut(ids[: WINDOW - 1], starts) == []
    assert cut(ids[:WINDOW], starts) == [0]


def test_documents_keep_their_number(tokenizer: Any) -> None:
    windows = cut_documents(["a " * 40, "too short", "b " * 20], tokenizer)
    assert windows.document.tolist() == [0, 0, 2]
    assert windows.ids.dtype == windows.document.dtype == np.int32


def test_a_text_with_a_special_token_is_left_out(tokenizer: Any) -> None:
    good, bad = "a b " * 20, "a b " * 20 + "<s>" + " c" * 40
    assert set(cut_documents([good, bad], tokenizer).document.tolist()) == {0}


def test_no_documents_give_no_windows(tokenizer: Any) -> None:
    windows = cut_documents([], tokenizer)
    assert len(windows) == 0
    assert halves(windows).shape == (0,)
    assert len(without_duplicates(windows)) == 0


def test_the_token_before_a_window(tokenizer: Any) -> None:
    assert bos_id(tokenizer) == 0
    without = make_tokenizer()
    without.bos_token = None
    assert bos_id(without) == 1
    without.eos_token = None
    with pytest.raises(UsageError, match="neither"):
        bos_id(without)


def many(tokenizer: Any) -> Windows:
    texts = [f"{number} of many documents, " * 5 for number in range(200)]
    return cut_documents(texts, tokenizer)


def test_halves_are_of_whole_documents_and_do_not_depend_on_order(tokenizer: Any) -> None:
    windows = many(tokenizer)
    chosen = halves(windows)
    assert 0.35 < chosen.mean() < 0.65
    for number in set(windows.document.tolist()):
        assert len(set(chosen[windows.document == number].tolist())) == 1
    half = windows.take(np.flatnonzero(windows.document >= 100))
    assert (halves(half) == chosen[windows.document >= 100]).all()


def test_documents_that_begin_alike_are_in_one_half(tokenizer: Any) -> None:
    texts = [f"Once upon a time there was a king. {number} x " * 4 for number in range(30)]
    assert len(set(halves(cut_documents(texts, tokenizer)).tolist())) == 1


def test_repeats_are_dropped_and_the_order_is_kept(tokenizer: Any) -> None:
    windows = many(tokenizer)
    twice = concatenate([windows, windows])
    once = without_duplicates(twice)
    assert len(np.unique(twice.ids, axis=0)) == len(once)
    assert (np.diff(once.document) >= 0).all()
    assert (without_duplicates(windows).ids == once.ids).all()


def test_joined_documents_have_numbers_of_their_own(tokenizer: Any) -> None:
    one, two = (cut_documents([text], tokenizer) for text in ("a " * 40, "b " * 40))
    joined = concatenate([one, two, one])
    assert joined.document.tolist() == [0, 0, 1, 1, 2, 2]
    with pytest.raises(UsageError, match="no windows"):
        concatenate([])


def test_a_mask_and_numbers_take_the_same(tokenizer: Any) -> None:
    windows = many(tokenizer)
    mask = halves(windows)
    by_mask, by_number = windows.take(mask), windows.take(np.flatnonzero(mask))
    assert (by_mask.ids == by_number.ids).all()
    assert len(by_mask) == mask.sum()


def test_what_is_saved_is_loaded(tokenizer: Any, tmp_path: Path) -> None:
    windows = concatenate([many(tokenizer), cut_documents(["c " * 40], tokenizer)])
    path = tmp_path / "deep" / "windows.safetensors"
    save_windows(path, windows)
    loaded = load_windows(path)
    for name in ("ids", "document"):
        assert (getattr(loaded, name) == getattr(windows, name)).all()
        assert getattr(loaded, name).dtype == getattr(windows, name).dtype
    before = path.read_bytes()
    save_windows(path, loaded)
    assert path.read_bytes() == before


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        load_windows(tmp_path / "none")
    (tmp_path / "text").write_text("hello hello hello")
    with pytest.raises(IntegrityError, match="not a safetensors file"):
        load_windows(tmp_path / "text")
    save_file({"ids": np.zeros((1, 32), dtype=np.int32)}, tmp_path / "tensors")
    with pytest.raises(IntegrityError, match="not windows: expected document, header"):
        load_windows(tmp_path / "tensors")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ids", np.zeros((2, 31), dtype=np.int32)),
        ("ids", np.zeros((2, 32), dtype=np.int64)),
        ("document", np.array([1, 0], dtype=np.int32)),
    ],
)
def test_wrong_shapes_are_refused(name: str, value: Any) -> None:
    fields: dict[str, Any] = {
        "ids": np.zeros((2, 32), dtype=np.int32),
        "document": np.zeros(2, dtype=np.int32),
    }
    Windows(**fields)
    with pytest.raises(IntegrityError, match=name if name != "document" else "out of order"):
        Windows(**{**fields, name: value})


def test_windows_need_no_torch() -> None:
    code = (
        "import sys, introspect_bench.tasks.feature_descriptions.windows as w, pathlib\n"
        "import introspect_bench.tasks.feature_descriptions.build.sampling\n"
        "print('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
