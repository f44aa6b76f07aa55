"""Windows made of hand-written pieces, and a tokenizer that knows just those."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from introspect_bench.tasks.feature_descriptions.predicates.evaluate import evaluate_named
from introspect_bench.tasks.feature_descriptions.predicates.words import _byte_alphabet
from introspect_bench.tasks.feature_descriptions.windows import WINDOW


class PieceTokenizer:
    """A byte-level vocabulary of given pieces; the empty piece fills windows up."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        alphabet = {byte: character for character, byte in _byte_alphabet().items()}
        distinct = dict.fromkeys([b" ", b"", *pieces])
        self.ids = {piece: index for index, piece in enumerate(distinct)}
        self._tokens = {
            "".join(alphabet[byte] for byte in piece): index for piece, index in self.ids.items()
        }

    def get_vocab(self) -> dict[str, int]:
        return self._tokens


def windows_of(
    *rows: Sequence[str | bytes],
) -> tuple[NDArray[np.int32], PieceTokenizer]:
    """Windows of 32 tokens from pieces, filled up with empty ones."""
    raw = [[p.encode() if isinstance(p, str) else p for p in row] for row in rows]
    tokenizer = PieceTokenizer([piece for row in raw for piece in row])
    full = [[*row, *[b""] * (WINDOW - len(row))] for row in raw]
    return np.array([[tokenizer.ids[p] for p in row] for row in full], np.int32), tokenizer


def positions(name: str, pieces: Sequence[str | bytes]) -> list[int]:
    """Positions at which a predicate holds in one window of pieces."""
    windows, tokenizer = windows_of(pieces)
    values = evaluate_named([name], windows, tokenizer)
    return [int(place) for place in np.flatnonzero(values.toarray()[:, 0])]
