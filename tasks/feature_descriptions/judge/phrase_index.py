"""Texts mapped to the known predicate whose wording they read most like.

The wordings of all predicates are embedded once; a text is the predicate of the nearest of them,
and one that is near none stands for nothing. An embedding hardly sees a negation, so the plain ways
to say "everything except X" are read apart from X; subtler ones read as X.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ....benchmark import files
from ....benchmark.cache import locked
from ....benchmark.errors import IntegrityError
from ..windows import Floats

THRESHOLD = 0.6
"""Cosine to the nearest wording from which a description stands for its predicate.

Measured with the shipped encoder and 10,000 wordings of 5,000 predicates: 99 % of 600 wordings that
were left out reach it, 84 % of those at the right predicate; of 300 first sentences of encyclopedia
articles 6 % do. A wrong predicate costs a description what no predicate does: its correlation.
"""
OPPOSITE = re.compile(
    r"\W*(?:every|any|all)[a-z]*(?: (?:other )?tokens?)? (?:except(?: for)?|but|other than) ",
    re.IGNORECASE,
)
"""Beginning of a description that means the rest."""

_DECIMALS = 4
_TOGETHER = 2_048


class TextEmbedder(Protocol):
    """Turns texts into unit vectors; `benchmark.backends.models.embedding` has one."""

    sha256: str
    """Hash of all that a vector depends on besides the text."""

    def embed(self, texts: Sequence[str]) -> Floats:
        """Return unit rows, float32 (n_texts, width)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhraseIndex:
    """The wordings of known predicates as vectors."""

    names: tuple[str, ...]  # of the predicates, simple ones first
    vectors: Floats  # unit vector of each wording, (n_phrases, width)
    owner: npt.NDArray[np.int32]  # place in `names` of each, never falling, (n_phrases,)
    sha256: str  # hash of names, wordings and embedder


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What a description stands for."""

    name: str | None  # of the predicate, None if the description stands for none
    opposite: bool  # whether the description means all but that predicate
    cosine: float  # to the nearest wording, rounded to 4 decimals


def phrase_index(
    wordings: Mapping[str, Sequence[str]], embedder: TextEmbedder, *, folder: Path
) -> PhraseIndex:
    """Embed the wordings of predicates, simple ones first, or read them from the folder.

    Indices are kept there, each under its hash.
    """
    texts = [phrase for phrases in wordings.values() for phrase in phrases]
    lengths = [len(phrases) for phrases in wordings.values()]
    names = tuple(wordings)
    known = {"names": names, "phrases": texts, "lengths": lengths, "embedder": embedder.sha256}
    sha256 = files.sha256_bytes(files.canonical_json(known).encode())
    path = folder / f"phrases-{sha256[:24]}.safetensors"
    if not path.exists():
        with locked(path):
            if not path.exists():
                starts = range(0, len(texts), _TOGETHER)
                parts = [embedder.embed(texts[start : start + _TOGETHER]) for start in starts]
                files.write_safetensors_atomic(path, {"vectors": np.concatenate(parts)})
    owner = np.repeat(np.arange(len(names), dtype=np.int32), lengths)
    return PhraseIndex(names=names, vectors=_read(path, len(texts)), owner=owner, sha256=sha256)


def match(descriptions: Sequence[str], index: PhraseIndex, embedder: TextEmbedder) -> list[Match]:
    """Say what descriptions stand for.

    What follows `OPPOSITE` is matched in its place. Of wordings that are equally near, to 4
    decimals, the one of the simplest predicate counts. An empty description stands for nothing.
    """
    heads = [OPPOSITE.match(text) for text in descriptions]
    plain = [
        text[head.end() :] if head else text for text, head in zip(descriptions, heads, strict=True)
    ]
    nearest: list[tuple[int, float]] = []
    for start in range(0, len(plain), _TOGETHER):
        nearest += _nearest(embedder.embed(plain[start : start + _TOGETHER]), index.vectors)
    found: list[Match] = []
    for text, head, (place, cosine) in zip(plain, heads, nearest, strict=True):
        known = cosine >= THRESHOLD and bool(text.strip())
        name = index.names[index.owner[place]] if known else None
        found.append(Match(name=name, opposite=head is not None, cosine=cosine))
    return found


def _read(path: Path, n_phrases: int) -> Floats:
    advice = "remove it to have it made again"
    vectors = files.parse_safetensors(path.read_bytes(), path, advice).get("vectors", np.empty(0))
    if vectors.dtype != np.float32 or vectors.ndim != 2 or len(vectors) != n_phrases:
        raise IntegrityError(f"{path}: {vectors.dtype} {vectors.shape}; {advice}")
    return vectors


def _nearest(rows: Floats, vectors: Floats) -> list[tuple[int, float]]:
    """Place and rounded cosine of the nearest vector of every row; the first of equals."""
    best = np.full(len(rows), -2.0, dtype=np.float64)
    place = np.zeros(len(rows), dtype=np.int64)
    for start in range(0, len(vectors), _TOGETHER):
        block = vectors[start : start + _TOGETHER]
        cosines = np.round((rows @ block.T).astype(np.float64), _DECIMALS)
        here = cosines.argmax(axis=1)
        values = cosines[np.arange(len(rows)), here]
        better = values > best
        best[better], place[better] = values[better], here[better] + start
    return list(zip(place.tolist(), best.tolist(), strict=True))
