"""Puts the tokens of windows back together into units: words, numbers, marks, line breaks.

A *unit* is the smallest thing most predicates speak about. The text of a window is cut, left to
right:

- `newline`: a run of line breaks;
- `number`: ASCII digits with inner points and commas, and an ordinal ending (`1,250.5`, `21st`);
- `clitic`: `'s 're 've 'll 'd 'm` after a letter or digit;
- `word`: a run of letters, joined by inner apostrophes unless a clitic follows (`doesn't`,
  `o'clock`); hyphens part words;
- `fragment`: bytes that are no text, as when a window cuts a character in two;
- `mark`: a run of one and the same other visible character (`...` is one mark, `."` is two).

Spaces belong to no unit. A token belongs to every unit it shares a byte with: most tokens to one, a
token such as `."` to two, a token of spaces to none. Only the tokens of the window count: a word
that the window cuts is what is visible of it. Words are compared in lower case by `str.lower`, the
curly apostrophe equal to the straight one.

Besides, where single tokens stand: a word or number of several tokens is *split*.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol
from urllib.parse import quote, unquote

import numpy as np
from numpy.typing import NDArray

from ..windows import WINDOW

_LETTER = r"(?:[^\W\d_]|[\u0300-\u036f\u0591-\u05c7\u0610-\u065f\u0900-\u0dff\u0e31-\u0eff])"
_CLITIC = rf"(?i:s|re|ve|ll|d|m)(?!{_LETTER})"
_UNITS = re.compile(
    r"(?P<newline>\n+)"
    rf"|(?P<number>[0-9]+(?:[.,][0-9]+)*(?:(?i:st|nd|rd|th)(?!{_LETTER}))?)"
    rf"|(?P<clitic>(?<=\w)['\u2019]{_CLITIC})"
    rf"|(?P<word>{_LETTER}+(?:['\u2019](?!{_CLITIC}){_LETTER}+)*)"
    r"|(?P<fragment>[\udc80-\udcff]+)"
    r"|(?P<mark>(?P<character>\S)(?P=character)*)"
)
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")

Ints = NDArray[np.int64]


class HasVocabulary(Protocol):
    """A tokenizer, as `tokenizers.Tokenizer` or a fast tokenizer of transformers."""

    def get_vocab(self) -> dict[str, int]:
        """Every token and its id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """The units of windows in reading order; tokens are counted as window * 32 + position."""

    n_windows: int
    types: tuple[tuple[str, str], ...]  # distinct (kind, text), in order of first occurrence
    type_of: Ints  # index into `types`, (n_units,)
    window_of: Ints  # (n_units,)
    first_token: Ints  # (n_units,)
    last_token: Ints  # (n_units,)
    ids: Ints  # token ids of all windows, (n_windows * 32,)
    pieces: tuple[str, ...]  # text of every token of the vocabulary by id, as `text_of` reads it


def _byte_alphabet() -> dict[str, int]:
    """Byte of every character of byte-level vocabularies.

    Source: `bytes_to_unicode` of openai/gpt-2, src/encoder.py.
    """
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in set(shown)]
    return {chr(b): b for b in shown} | {chr(256 + n): b for n, b in enumerate(hidden)}


def piece_bytes(tokenizer: HasVocabulary) -> tuple[bytes, ...]:
    """Bytes that every token stands for, by id; ids without a token are empty.

    A vocabulary that holds the byte-level space is read as byte-level; any other one as text in
    which U+2581 is a space and `<0xHH>` a byte.
    """
    vocabulary = tokenizer.get_vocab()
    pieces = [b""] * (max(vocabulary.values()) + 1)
    alphabet = _byte_alphabet()
    byte_level = "\u0120" in vocabulary
    for token, index in vocabulary.items():
        byte = None if byte_level else _BYTE_TOKEN.fullmatch(token)
        if byte_level and all(character in alphabet for character in token):
            pieces[index] = bytes(alphabet[character] for character in token)
        elif byte:
            pieces[index] = bytes([int(byte[1], 16)])
        else:
            pieces[index] = token.replace("\u2581", " ").encode()
    return tuple(pieces)


def text_of(raw: bytes) -> str:
    """Text of some bytes; each byte that is no text becomes one lone surrogate."""
    return raw.decode("utf-8", errors="surrogateescape")


def normal(word: str) -> str:
    """A word as it is compared: lower case, straight apostrophes."""
    return word.lower().replace("\u2019", "'")


def cut(text: str) -> Iterator[tuple[str, int, int]]:
    """Kind, start and end of every unit of a text, in characters."""
    for match in _UNITS.finditer(text):
        # lastgroup would name the inner group of a mark
        kind = "mark" if match.lastgroup == "character" else str(match.lastgroup)
        yield kind, match.start(), match.end()


def _byte_starts(text: str) -> list[int]:
    """Byte offset of every character of a text, and of its end."""
    sizes = (len(character.encode("utf-8", errors="surrogateescape")) for character in text)
    return list(accumulate(sizes, initial=0))


def annotate(windows: NDArray[np.integer], tokenizer: HasVocabulary) -> Units:
    """Units of windows, (n_windows, 32), of a tokenizer's ids."""
    if windows.ndim != 2 or windows.shape[1] != WINDOW:
        raise ValueError(f"windows must have the shape (n, {WINDOW}), not {windows.shape}")
    raw = piece_bytes(tokenizer)
    ids = np.asarray(windows, dtype=np.int64).ravel()
    if ids.size and not (ids.min() >= 0 and ids.max() < len(raw)):
        raise ValueError(f"token ids must lie in 0..{len(raw) - 1}")
    types: dict[tuple[str, str], int] = {}
    rows: list[tuple[int, int, int, int]] = []  # type, window, first and last byte
    base = 0
    for window, row in enumerate(np.asarray(windows).tolist()):
        joined = b"".join([raw[index] for index in row])
        text = text_of(joined)
        starts = None if len(text) == len(joined) else _byte_starts(text)
        for kind, start, end in cut(text):
            type_of = types.setdefault((kind, text[start:end]), len(types))
            if starts is not None:
                start, end = starts[start], starts[end]
            rows.append((type_of, window, base + start, base + end - 1))
        base += len(joined)
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    lengths = np.array([len(piece) for piece in raw], dtype=np.int64)
    ends = np.cumsum(lengths[ids])
    return Units(
        n_windows=len(windows),
        types=tuple(types),
        type_of=table[:, 0],
        window_of=table[:, 1],
        first_token=np.searchsorted(ends, table[:, 2], side="right"),
        last_token=np.searchsorted(ends, table[:, 3], side="right"),
        ids=ids,
        pieces=tuple(text_of(piece) for piece in raw),
    )


def encode(piece: str) -> str:
    """Text of a token as names carry it: percent-encoded, leading space included."""
    return quote(piece, safe="", errors="surrogateescape")


def decode(argument: str) -> str:
    """Text of a token from a name."""
    return unquote(argument, errors="surrogateescape")


def ranges(starts: Ints, ends: Ints) -> Ints:
    """Whole numbers from each start up to before its end, one range after the other."""
    lengths = ends - starts
    begins = np.repeat(starts - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
    found: Ints = begins + np.arange(int(lengths.sum()))
    return found


def token_places(units: Units) -> Mapping[str, Ints]:
    """Tokens for which every place on tokens holds, ascending."""
    kinds = np.array([kind for kind, _ in units.types], dtype=object)
    kind_of = kinds[units.type_of] if len(kinds) else kinds
    split = units.last_token > units.first_token
    words, numbers = (kind_of == "word") & split, (kind_of == "number") & split
    later = units.first_token + 1
    tokens = np.arange(len(units.ids))
    begins = np.array([text[:1].isalpha() for text in units.pieces], dtype=bool)
    blank = np.array([bool(text) and not text.strip(" ") for text in units.pieces], dtype=bool)
    found = {
        "piece-place:second": later[words],
        "piece-place:continuation": ranges(later[words], units.last_token[words] + 1),
        "piece-place:unspaced": tokens[begins[units.ids]],
        "piece-place:spaces": tokens[blank[units.ids]],
        "piece-place:number-later": ranges(later[numbers], units.last_token[numbers] + 1),
    }
    return {name: np.unique(held) for name, held in found.items()}


def piece_tokens(units: Units, arguments: Sequence[str]) -> dict[str, Ints]:
    """Tokens that are given pieces, ascending, by the argument of the name."""
    wanted = {decode(argument): argument for argument in arguments}
    ids: dict[str, list[int]] = {argument: [] for argument in arguments}
    for index, text in enumerate(units.pieces):
        if text in wanted:
            ids[wanted[text]].append(index)
    order = np.argsort(units.ids, kind="stable")
    ordered = units.ids[order]
    found = {}
    for argument, indices in ids.items():
        bounds = [np.searchsorted(ordered, [index, index + 1]) for index in indices]
        rows = [order[start:end] for start, end in bounds]
        found[argument] = np.sort(np.concatenate([np.empty(0, dtype=np.int64), *rows]))
    return found
