"""Windows: 32 tokens of text each, the only form in which this task reads and measures text.

A *window* is exactly `WINDOW` token ids of the target's tokenizer, read alone by the target after
one token `bos_id(tokenizer)`, which is never a datum; so everything measured can be recomputed from
the ids. A window begins where a word begins. Reads no text from anywhere and runs no model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...benchmark.errors import IntegrityError, UsageError
from ...benchmark.files import (
    canonical_json,
    parse_object,
    parse_safetensors,
    write_safetensors_atomic,
)

WINDOW = 32  # tokens of a window, without the token before it
SCHEMA = "introspect-bench/windows/2"  # schema of the file

_TOGETHER = 256  # documents encoded in one call

Ids = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """Windows in a fixed order; those of one document follow each other in reading order."""

    ids: Ids  # token ids, (n_windows, 32)
    document: Ids  # number of each window's document, (n_windows,), never falling

    def __post_init__(self) -> None:
        """Check shapes, dtypes and order."""
        n = len(self.document)
        shapes = {"ids": (n, WINDOW), "document": (n,)}
        for name, shape in shapes.items():
            value = getattr(self, name)
            if value.shape != shape or value.dtype != np.int32:
                raise IntegrityError(
                    f"windows: {name} is {value.dtype} {value.shape}, expected int32 {shape}"
                )
        if bool((np.diff(self.document) < 0).any()):
            raise IntegrityError("windows: the documents' numbers are out of order")

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: npt.NDArray[np.intp] | Mask) -> Windows:
        """Select windows by ascending row numbers, (n_taken,), or by a mask, (n_windows,)."""
        return Windows(ids=self.ids[rows], document=self.document[rows])


def bos_id(tokenizer: Any) -> int:
    """Return the token read before every window: beginning of text, or else end of text."""
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    raise UsageError("the tokenizer has neither a token for the beginning nor for the end of text")


@lru_cache(maxsize=1)
def word_starts(tokenizer: Any) -> Mask:
    """Return which ids begin a word, (vocabulary,): their text begins with white space.

    Text is what an id adds after an ordinary token, so it does not matter how a tokenizer writes a
    space inside its vocabulary, nor whether it drops one at the beginning of a text. Special tokens
    never begin a word.
    """
    anchor = tokenizer("a", add_special_tokens=False)["input_ids"][-1]
    alone = len(_decode(tokenizer, [[anchor]])[0])
    size = len(tokenizer)
    special = set(tokenizer.all_special_ids)
    pairs = _decode(tokenizer, [[anchor, token] for token in range(size)])
    return np.array(
        [
            pair[alone : alone + 1].isspace() and token not in special
            for token, pair in enumerate(pairs)
        ],
        dtype=np.bool_,
    )


def cut(ids: Ids, starts: Mask) -> list[int]:
    """Return where the windows of one document's ids begin; `starts` is from `word_starts`.

    The first begins with the document, each next one at the first word that begins after the end
    of the one before; what is left and shorter than a window is dropped.
    """
    places = np.flatnonzero(starts[ids])
    found = []
    at = 0
    while at + WINDOW <= len(ids):
        found.append(at)
        following = np.searchsorted(places, at + WINDOW)
        if following == len(places):
            break
        at = int(places[following])
    return found


def cut_documents(documents: Iterable[str], tokenizer: Any) -> Windows:
    """Cut texts into windows, in order.

    Documents are numbered from 0, those without windows too. One in whose text the tokenizer sees
    one of its special tokens is left out.
    """
    starts = word_starts(tokenizer)
    special = list(tokenizer.all_special_ids)
    ids: list[Ids] = [np.zeros((0, WINDOW), dtype=np.int32)]
    document: list[int] = []
    rest, number = iter(documents), 0
    while texts := list(islice(rest, _TOGETHER)):
        for encoded in encode(tokenizer, texts):
            places = [] if np.isin(encoded, special).any() else cut(encoded, starts)
            ids += [encoded[None, place : place + WINDOW] for place in places]
            document += [number] * len(places)
            number += 1
    return Windows(ids=np.concatenate(ids), document=np.array(document, dtype=np.int32))


def pair_keys(ids: Ids) -> npt.NDArray[np.int64]:
    """Key of each token with the one before, (n_windows, 32); of the first one, of itself alone."""
    keys = ids.astype(np.int64)
    keys[:, 1:] += (ids[:, :-1].astype(np.int64) + 1) << 32
    return keys


def encode(tokenizer: Any, texts: Sequence[str]) -> list[Ids]:
    """Token ids of each text, int32 (n_tokens,), without special tokens around them."""
    rows = tokenizer(
        list(texts), add_special_tokens=False, return_attention_mask=False, verbose=False
    )
    return [np.array(row, dtype=np.int32) for row in rows["input_ids"]]


def concatenate(parts: Sequence[Windows]) -> Windows:
    """Join windows, renumbering the documents so that none of two parts share a number."""
    if not parts:
        raise UsageError("no windows to join")
    offset, documents = 0, []
    for part in parts:
        documents.append((part.document + offset).astype(np.int32))
        offset += int(part.document[-1]) + 1 if len(part) else 0
    ids = np.concatenate([part.ids for part in parts])
    return Windows(ids=ids, document=np.concatenate(documents))


def without_duplicates(windows: Windows) -> Windows:
    """Drop every window whose ids an earlier window has, so that none can be in both halves."""
    _, rows = np.unique(windows.ids, axis=0, return_index=True)
    return windows.take(np.sort(rows))


def halves(windows: Windows) -> Mask:
    """Return which windows belong to half A, (n_windows,); the others belong to half B.

    Descriptions are made on half A and scored on half B. A document is in one half, by a hash of
    its first window's ids: neither order nor seed matter, and documents that begin alike stay
    together. Ask it of a whole corpus, before windows are chosen from it.
    """
    _, first, document = np.unique(windows.document, return_index=True, return_inverse=True)
    heads = [
        b"introspect-bench/half/1:" + windows.ids[row].astype("<i4").tobytes() for row in first
    ]
    chosen = [hashlib.sha256(head).digest()[0] < 128 for head in heads]
    return np.array(chosen, dtype=np.bool_)[document]


def save_windows(path: Path, windows: Windows) -> None:
    """Write windows as safetensors, atomically."""
    header = canonical_json({"schema": SCHEMA}).encode()
    tensors = {"ids": windows.ids, "document": windows.document}
    write_safetensors_atomic(path, {"header": np.frombuffer(header, dtype=np.uint8), **tensors})


def load_windows(path: Path) -> Windows:
    """Read what `save_windows` wrote."""
    if not path.is_file():
        raise UsageError(f"cannot read {path}: no such file; check the path")
    tensors = parse_safetensors(path.read_bytes(), path)
    expected = {"header", "ids", "document"}
    if not set(tensors) >= expected:
        raise IntegrityError(f"{path}: not windows: expected {', '.join(sorted(expected))}")
    header = parse_object(tensors["header"].tobytes(), f"{path}: header")
    if header.get("schema") != SCHEMA:
        raise IntegrityError(f"{path}: expected schema {SCHEMA}")
    return Windows(ids=tensors["ids"], document=tensors["document"])


def _decode(tokenizer: Any, rows: Sequence[Sequence[int]]) -> list[str]:
    texts: list[str] = tokenizer.batch_decode(
        rows, skip_special_tokens=False, clean_up_tokenization_spaces=False
    )
    return texts
