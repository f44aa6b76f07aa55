"""Texts mapped to the known predicate whose wording they read most like.

Owns wordings as vectors, and which predicate a text stands for. The wordings of all predicates are
embedded once; a text is the predicate of the nearest of them, and one that is near none stands for
nothing. An embedding hardly sees a negation, so the plain ways to say "everything except X" are
read apart from X; subtler ones read as X.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ....benchmark import files
from ....benchmark.cache import OnProgress, locked, silent
from ....benchmark.errors import IntegrityError
from ....benchmark.files import write_safetensors_atomic
from ..predicates.predicate import Predicate

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
    """Turns texts into unit vectors; `benchmark.backends.embedding.Embedder` is one."""

    sha256: str
    """Hash of all that a vector depends on besides the text."""

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return unit rows, float32 (n_texts, width)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhraseIndex:
    """The wordings of known predicates as vectors."""

    names: tuple[str, ...]
    """Names of the predicates, simple ones first."""
    vectors: npt.NDArray[np.float32]
    """Unit vector of each wording, float32 (n_phrases, width)."""
    owner: npt.NDArray[np.int32]
    """Predicate of each wording, as a place in `names`, never falling, int32 (n_phrases,)."""
    sha256: str
    """Hash of names, wordings and embedder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What a description stands for."""

    name: str | None
    """Name of the predicate; None if the description stands for none."""
    opposite: bool
    """Whether the description means all but that predicate."""
    cosine: float
    """Cosine to the nearest wording, rounded to 4 decimals, -1 to 1."""


def phrase_index(
    predicates: Sequence[Predicate],
    embedder: TextEmbedder,
    *,
    folder: Path,
    on_progress: OnProgress = silent,
) -> PhraseIndex:
    """Embed all wordings, or read them if that was done before.

    Args:
        predicates: known predicates, simple ones first; joined ones may be among them.
        embedder: makes the vectors.
        folder: where indices are kept, each under its hash.
        on_progress: told how far it is.

    Raises:
        MissingPartError: the folder can't be written.
        IntegrityError: a file there is not what its name says.
    """
    texts = [phrase for predicate in predicates for phrase in predicate.phrases]
    lengths = [len(predicate.phrases) for predicate in predicates]
    names = tuple(predicate.name for predicate in predicates)
    known = {"names": names, "phrases": texts, "lengths": lengths, "embedder": embedder.sha256}
    sha256 = files.sha256_bytes(files.canonical_json(known).encode())
    path = folder / f"phrases-{sha256[:24]}.safetensors"
    if not path.exists():
        with locked(path, on_progress):
            if not path.exists():
                vectors = _embedded(texts, embedder, on_progress)
                write_safetensors_atomic(path, {"vectors": vectors})
    owner = np.repeat(np.arange(len(names), dtype=np.int32), lengths)
    return PhraseIndex(names=names, vectors=_read(path, len(texts)), owner=owner, sha256=sha256)


def match(
    descriptions: Sequence[str],
    index: PhraseIndex,
    embedder: TextEmbedder,
    *,
    threshold: float = THRESHOLD,
) -> list[Match]:
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
        known = cosine >= threshold and bool(text.strip())
        name = index.names[index.owner[place]] if known else None
        found.append(Match(name=name, opposite=head is not None, cosine=cosine))
    return found


def _embedded(
    texts: Sequence[str], embedder: TextEmbedder, on_progress: OnProgress
) -> npt.NDArray[np.float32]:
    parts = []
    for start in range(0, len(texts), _TOGETHER):
        on_progress(f"embedding wordings of predicates, {start} of {len(texts)}", 0, None)
        parts.append(embedder.embed(texts[start : start + _TOGETHER]))
    return np.concatenate(parts)


def _read(path: Path, n_phrases: int) -> npt.NDArray[np.float32]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    advice = "remove it to have it made again"
    try:
        vectors = load(path.read_bytes())["vectors"]
    except (SafetensorError, KeyError) as error:
        raise IntegrityError(f"{path}: holds no vectors; {advice}") from error
    if vectors.dtype != np.float32 or vectors.ndim != 2 or len(vectors) != n_phrases:
        raise IntegrityError(f"{path}: {vectors.dtype} {vectors.shape}; {advice}")
    found: npt.NDArray[np.float32] = vectors
    return found


def _nearest(
    rows: npt.NDArray[np.float32], vectors: npt.NDArray[np.float32]
) -> list[tuple[int, float]]:
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
