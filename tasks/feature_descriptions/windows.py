"""Windows: 32 tokens of text each, the only form in which this task reads and measures text.

Owns the record, how documents are cut into windows, which half of the data a window belongs to, and
the file. A *window* is exactly `WINDOW` token ids of the target's tokenizer, read alone by the
target after one token `bos_id(tokenizer)`, which is never a datum; so everything measured can be
recomputed from the ids. A window begins where a word begins. Reads no text from anywhere and runs
no model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...benchmark.errors import IntegrityError, UsageError
from ...benchmark.files import canonical_json, parse_object, write_safetensors_atomic

WINDOW = 32
"""Tokens of a window, without the token before it."""
SAMPLED = "sampled"
"""Source of text that the target wrote itself, the only text that may be shipped."""
SCHEMA = "introspect-bench/windows/1"
"""Schema of the file."""

_TOGETHER = 256
"""Documents encoded in one call."""

Ids = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A piece of text that stands for itself."""

    source: str
    """`sampled`, or the name of the prose source."""
    text: str
    """Its text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """Windows in a fixed order; those of one document follow each other in reading order."""

    ids: Ids
    """Token ids, int32 (n_windows, 32)."""
    source: tuple[str, ...]
    """For each window `sampled`, or the name of the prose source."""
    document: Ids
    """Number of each window's document, int32 (n_windows,), never falling."""
    starts_document: Mask
    """Whether the window's first token is its document's first, bool (n_windows,)."""

    def __post_init__(self) -> None:
        """Check shapes and dtypes.

        Raises:
            IntegrityError: one is not as documented.
        """
        n = len(self.source)
        expected: tuple[tuple[str, npt.NDArray[Any], tuple[int, ...], type[np.generic]], ...] = (
            ("ids", self.ids, (n, WINDOW), np.int32),
            ("document", self.document, (n,), np.int32),
            ("starts_document", self.starts_document, (n,), np.bool_),
        )
        for name, value, shape, dtype in expected:
            if value.shape != shape or value.dtype != dtype:
                raise IntegrityError(
                    f"windows: {name} is {value.dtype} {value.shape}, expected "
                    f"{np.dtype(dtype)} {shape}"
                )
        if n and bool((np.diff(self.document) < 0).any()):
            raise IntegrityError("windows: the documents' numbers are out of order")

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.source)

    def take(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> Windows:
        """Select windows by ascending row numbers, int (n_taken,), or by a mask, bool (n,)."""
        numbers = np.arange(len(self))[rows]
        return Windows(
            ids=self.ids[numbers],
            source=tuple(self.source[row] for row in numbers),
            document=self.document[numbers],
            starts_document=self.starts_document[numbers],
        )

    def of_source(self, *names: str) -> Mask:
        """Return which windows come from any of these sources, bool (n_windows,)."""
        return np.array([source in names for source in self.source], dtype=np.bool_)


def bos_id(tokenizer: Any) -> int:
    """Return the token read before every window: beginning of text, or else end of text.

    Raises:
        UsageError: the tokenizer has neither.
    """
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    raise UsageError("the tokenizer has neither a token for the beginning nor for the end of text")


def word_starts(tokenizer: Any) -> Mask:
    """Return which ids of the vocabulary begin a word: their text begins with white space.

    Text is what an id adds after an ordinary token, so it does not matter how a tokenizer writes a
    space inside its vocabulary, nor whether it drops one at the beginning of a text. Special tokens
    never begin a word. Returns bool (vocabulary,).
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
    """Return where the windows of one document begin.

    The first begins with the document, each next one at the first word that begins after the end
    of the one before; what is left and shorter than a window is dropped.

    Args:
        ids: the document's token ids, int32 (n_tokens,).
        starts: from `word_starts`.
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


def cut_documents(
    documents: Iterable[Document], tokenizer: Any, *, starts: Mask | None = None
) -> Windows:
    """Cut documents into windows, in order.

    A document in whose text the tokenizer sees one of its special tokens is left out.

    Args:
        documents: pieces of text; numbered from 0 in the result, those without windows too.
        tokenizer: the target's tokenizer.
        starts: from `word_starts`, if it is known already.
    """
    begins = word_starts(tokenizer) if starts is None else starts
    special = list(tokenizer.all_special_ids)
    ids: list[Ids] = [np.zeros((0, WINDOW), dtype=np.int32)]
    source: list[str] = []
    document: list[int] = []
    first: list[bool] = []
    rest, number = iter(documents), 0
    while part := list(islice(rest, _TOGETHER)):
        texts = [document.text for document in part]
        for read, encoded in zip(part, encode(tokenizer, texts), strict=True):
            places = [] if np.isin(encoded, special).any() else cut(encoded, begins)
            ids += [encoded[None, place : place + WINDOW] for place in places]
            source += [read.source] * len(places)
            document += [number] * len(places)
            first += [place == 0 for place in places]
            number += 1
    return Windows(
        ids=np.concatenate(ids),
        source=tuple(source),
        document=np.array(document, dtype=np.int32),
        starts_document=np.array(first, dtype=np.bool_),
    )


def encode(tokenizer: Any, texts: Sequence[str]) -> list[Ids]:
    """Token ids of each text, int32 (n_tokens,), without special tokens around them."""
    rows = tokenizer(
        list(texts), add_special_tokens=False, return_attention_mask=False, verbose=False
    )
    return [np.array(row, dtype=np.int32) for row in rows["input_ids"]]


def concatenate(parts: Sequence[Windows]) -> Windows:
    """Join windows, renumbering the documents so that none of two parts share a number.

    Raises:
        UsageError: there is no part.
    """
    if not parts:
        raise UsageError("no windows to join")
    offset, documents = 0, []
    for part in parts:
        documents.append((part.document + offset).astype(np.int32))
        offset += int(part.document[-1]) + 1 if len(part) else 0
    return Windows(
        ids=np.concatenate([part.ids for part in parts]),
        source=tuple(name for part in parts for name in part.source),
        document=np.concatenate(documents),
        starts_document=np.concatenate([part.starts_document for part in parts]),
    )


def without_duplicates(windows: Windows) -> Windows:
    """Drop every window whose ids an earlier window has, so that none can be in both halves."""
    _, rows = np.unique(windows.ids, axis=0, return_index=True)
    return windows.take(np.sort(rows))


def halves(windows: Windows) -> Mask:
    """Return which windows belong to half A, bool (n_windows,); the others belong to half B.

    Descriptions are made on half A and scored on half B. A document is in one half, by a hash of
    its first window's ids: neither order nor seed matter, and documents that begin alike stay
    together. Ask it of a whole corpus, before windows are chosen from it.
    """
    _, first, document = np.unique(windows.document, return_index=True, return_inverse=True)
    chosen = [_half(windows.ids[row]) for row in first]
    return np.array(chosen, dtype=np.bool_)[document]


def save_windows(path: Path, windows: Windows) -> None:
    """Write windows as safetensors; the file is the old one or the new one, never half.

    Raises:
        MissingPartError: the disk is full or the path can't be written.
    """
    names = sorted(set(windows.source))
    codes = {name: code for code, name in enumerate(names)}
    header = canonical_json({"schema": SCHEMA, "sources": names}).encode()
    tensors: dict[str, npt.NDArray[Any]] = {
        "header": np.frombuffer(header, dtype=np.uint8),
        "ids": np.ascontiguousarray(windows.ids),
        "source": np.array([codes[name] for name in windows.source], dtype=np.int32),
        "document": np.ascontiguousarray(windows.document),
        "starts_document": windows.starts_document.astype(np.uint8),
    }
    write_safetensors_atomic(path, tensors)


def load_windows(path: Path) -> Windows:
    """Read what `save_windows` wrote.

    Raises:
        UsageError: there is no such file.
        IntegrityError: it does not hold windows.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not path.is_file():
        raise UsageError(f"cannot read {path}: no such file; check the path")
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise IntegrityError(f"{path}: not a safetensors file: {error}") from error
    expected = {"header", "ids", "source", "document", "starts_document"}
    if set(tensors) != expected:
        raise IntegrityError(f"{path}: not windows: expected {', '.join(sorted(expected))}")
    header = parse_object(tensors["header"].tobytes(), f"{path}: header")
    if header.get("schema") != SCHEMA:
        raise IntegrityError(f"{path}: expected schema {SCHEMA}")
    names = header["sources"]
    return Windows(
        ids=tensors["ids"],
        source=tuple(names[code] for code in tensors["source"]),
        document=tensors["document"],
        starts_document=tensors["starts_document"].astype(np.bool_),
    )


def _half(ids: Ids) -> bool:
    data = b"introspect-bench/half/1:" + ids.astype("<i4").tobytes()
    return hashlib.sha256(data).digest()[0] < 128


def _decode(tokenizer: Any, rows: Sequence[Sequence[int]]) -> list[str]:
    texts: list[str] = tokenizer.batch_decode(
        rows, skip_special_tokens=False, clean_up_tokenization_spaces=False
    )
    return texts
