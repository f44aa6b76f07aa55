"""Computes predicates about tokens: which piece of a word a token is, and where it stands.

A word of several tokens is *split*; only words and numbers are. ``piece:X`` is the token whose text
is X, with its leading space if it has one; in names, X is percent-encoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, unquote

import numpy as np
from numpy.typing import NDArray

from .words import LENGTH, Units


def encode(piece: str) -> str:
    """Text of a token as names carry it."""
    return quote(piece, safe="", errors="surrogateescape")


def decode(argument: str) -> str:
    """Text of a token from a name."""
    return unquote(argument, errors="surrogateescape")


def token_places(units: Units) -> Mapping[str, NDArray[np.int64]]:
    """Tokens, as window * 32 + position, for which every place on tokens holds."""
    kinds = np.array([kind for kind, _ in units.types], dtype=object)
    kind_of = kinds[units.type_of] if len(kinds) else kinds
    several = units.last_token > units.first_token
    word, number = kind_of == "word", kind_of == "number"
    tokens = np.arange(len(units.ids))
    position = tokens % LENGTH
    texts = np.array(units.pieces, dtype=object)
    begins = np.array([text[:1].isalpha() for text in units.pieces], dtype=bool)
    blank = np.array([bool(text) and not text.strip(" ") for text in texts], dtype=bool)
    first = units.first_token[word & several]
    last = units.last_token[word & several]
    later = [np.arange(a + 1, b + 1) for a, b in zip(first, last, strict=True)]
    middle = [np.arange(a + 1, b) for a, b in zip(first, last, strict=True)]
    numbers = number & several
    digits = [
        np.arange(a + 1, b + 1)
        for a, b in zip(units.first_token[numbers], units.last_token[numbers], strict=True)
    ]
    found = {
        "piece-place:whole": units.first_token[word & ~several],
        "piece-place:first": first,
        "piece-place:second": first + 1,
        "piece-place:continuation": _joined(later),
        "piece-place:last": last,
        "piece-place:middle": _joined(middle),
        "piece-place:split": np.concatenate([first, _joined(later)]),
        "piece-place:unspaced": tokens[begins[units.ids]],
        "piece-place:spaces": tokens[blank[units.ids]],
        "piece-place:number-first": units.first_token[numbers],
        "piece-place:number-later": _joined(digits),
        "place:token-first": tokens[position == 0],
        "place:token-second": tokens[position == 1],
        "place:tokens-1-4": tokens[position < 4],
        "place:tokens-1-8": tokens[position < 8],
        "place:tokens-1-16": tokens[position < 16],
        "place:tokens-17-32": tokens[position >= 16],
        "place:tokens-25-32": tokens[position >= 24],
        "place:token-last": tokens[position == LENGTH - 1],
    }
    return {name: np.unique(held) for name, held in found.items()}


def _joined(rows: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Ranges as one array, also if there are none."""
    return np.concatenate([np.empty(0, dtype=np.int64), *rows])


def piece_tokens(units: Units, arguments: list[str]) -> dict[str, NDArray[np.int64]]:
    """Tokens that are given pieces, by the argument of the name."""
    wanted = {decode(argument): argument for argument in arguments}
    of_id = {index: wanted[text] for index, text in enumerate(units.pieces) if text in wanted}
    order = np.argsort(units.ids, kind="stable")
    ordered = units.ids[order]
    found: dict[str, list[NDArray[np.int64]]] = {argument: [] for argument in arguments}
    for index, argument in of_id.items():
        start, end = np.searchsorted(ordered, [index, index + 1])
        found[argument].append(order[start:end])
    return {argument: np.sort(_joined(rows)) for argument, rows in found.items()}
