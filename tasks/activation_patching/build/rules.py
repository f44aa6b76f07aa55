"""What whoever fits rules on train can tell of a candidate: kernel ridge regressions.

A verdict from the vector, beside relation and clean answer; the content of a changed answer from
the words, with and without the clean answer and the vector; the clean answer from the words.
Validation and test are chosen so that the first tells nothing and the others rarely hit. The rules
that a suite is measured with are others (`tasks/nulls`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from ....benchmark.metrics.verdicts import normalise_content
from ....benchmark.suite.freeze import Measured

RIDGE = 6.0
"""Penalty of the regression of verdicts; kernels are about 1 for equal rows, 5 times that for equal
relations and clean answers."""
SHARED = 2.0
"""How much more two vectors have in common if the relation is the same, or the clean answer."""
CONTENT_RIDGE = 0.3  # the same of contents
BUCKETS = 2**16  # columns that n-grams of words are hashed into

Floats = npt.NDArray[np.float64]
Texts = npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Queries as the regressions see them."""

    cells: Sequence[str]  # kind and block of each
    relations: Sequence[str]
    texts: Sequence[str]  # shown text of each
    vectors: npt.NDArray[np.float32]  # (n, d_model)


class Rules:
    """Fitted on the queries of train that were kept."""

    def __init__(self, train: Rows, clean: Sequence[str], outcomes: Sequence[str]) -> None:
        """Fit everything, a second or two for 6,000 queries."""
        cells, blocks = np.array(train.cells), _blocks(train)
        self._mean: Mapping[str, npt.NDArray[np.float32]] = {
            name: train.vectors[cells == name].mean(0) for name in sorted(set(train.cells))
        }
        self._everywhere = train.vectors.mean(0)
        far = np.linalg.norm(self._centred(train), axis=1)
        self._spread = {name: float(far[blocks == name].mean()) or 1.0 for name in set(blocks)}
        before, after = _normalised(clean), _normalised(outcomes)
        changed = before != after
        self._train = self._seen(train, before)
        self._changed = self._train.take(np.flatnonzero(changed))
        first = np.unique(train.texts, return_index=True)[1]
        self._texts = self._train.take(first)
        same = _verdict_kernel(self._train, self._train)
        self._verdict = _solved(same, changed[:, None] * 2.0 - 1.0, RIDGE)[:, 0]
        self._scale = max(float((same @ self._verdict).std()), 1e-12)
        self._contents = [
            _Classes(kernel, after[changed])
            for kernel in _content_kernels(self._changed, self._changed)
        ]
        self._clean = _Classes(_word_kernel(self._texts, self._texts), before[first])

    def _centred(self, rows: Rows) -> npt.NDArray[np.float32]:
        means = [self._mean.get(name, self._everywhere) for name in rows.cells]
        return np.asarray(rows.vectors - np.stack(means), dtype=np.float32)

    def _seen(self, rows: Rows, clean: Texts) -> _Seen:
        """Centred and scaled vectors, hashed words."""
        from sklearn.feature_extraction.text import HashingVectorizer

        hashed = HashingVectorizer(ngram_range=(1, 2), n_features=BUCKETS, alternate_sign=False)
        blocks = _blocks(rows)
        spread = np.array([self._spread.get(name, 1.0) for name in blocks])
        return _Seen(
            blocks=blocks,
            cells=np.array(rows.cells),
            relations=np.array(rows.relations),
            clean=clean,
            words=hashed.transform(rows.texts),
            vectors=self._centred(rows) / spread[:, None],
        )

    def verdicts(self, rows: Rows, clean: Sequence[str]) -> Floats:
        """Scores of *changed*, (n,), with a spread of about 1."""
        seen = self._seen(rows, _normalised(clean))
        found = _verdict_kernel(seen, self._train) @ self._verdict
        return np.asarray(found / self._scale, dtype=np.float64)

    def guessed(self, rows: Rows, clean: Sequence[str], outcomes: Sequence[str]) -> list[bool]:
        """Whether a first guess of the answer after the patch is right, or it stands in the text.

        A changed answer is guessed in four ways: from the words, with and without the clean answer
        and the vector; it is never guessed to be the clean answer. An unchanged one is guessed from
        the words.
        """
        known = _normalised(clean)
        seen = self._seen(rows, known)
        kernels = _content_kernels(seen, self._changed)
        ways = [w.guesses(k, known) for w, k in zip(self._contents, kernels, strict=True)]
        before = [self._clean.guesses(_word_kernel(seen, self._texts))]
        after = _normalised(outcomes)
        return [
            _named(rows.texts[i], after[i], before if known[i] == after[i] else ways, i)
            for i in range(len(after))
        ]

    def foreseen(self, rows: Rows, clean: Sequence[str]) -> list[bool]:
        """The same of answers that do not change, whatever the vector."""
        known = _normalised(clean)
        before = [self._clean.guesses(_word_kernel(self._seen(rows, known), self._texts))]
        return [_named(text, known[i], before, i) for i, text in enumerate(rows.texts)]


def fit_rules(groups: Sequence[Sequence[Measured]]) -> Rules:
    """Fit on the groups of train, all of which have vectors."""
    members = [member for group in groups for member in group]
    return Rules(
        Rows(
            cells=[cell_name(member.kind, member.fields["layers"]) for member in members],
            relations=[member.fields["relation"] for member in members],
            texts=[member.fields["text"] for member in members],
            vectors=np.stack([np.asarray(m.vector, dtype=np.float32) for m in members]),
        ),
        [member.clean for member in members],
        [member.outcome for member in members],
    )


def cell_name(kind: str, layers: Sequence[int]) -> str:
    """Kind and block (first and last layer) as a word."""
    first, last = layers
    return f"{kind}/{first}-{last}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """Rows ready for kernels."""

    blocks: Texts
    cells: Texts
    relations: Texts
    clean: Texts
    words: Any
    vectors: Floats

    def take(self, rows: npt.NDArray[np.int64]) -> _Seen:
        return _Seen(**{one.name: getattr(self, one.name)[rows] for one in fields(self)})


def _blocks(rows: Rows) -> Texts:
    return np.array([name.rsplit("/", 1)[1] for name in rows.cells])


def _verdict_kernel(one: _Seen, other: _Seen) -> Floats:
    """That of vectors, more so where relations or clean answers are equal."""
    relation = one.relations[:, None] == other.relations[None]
    clean = one.clean[:, None] == other.clean[None]
    return _kernel(one, other, 1.0 + SHARED * relation + SHARED * clean)


def _kernel(one: _Seen, other: _Seen, weight: Floats | float = 1.0) -> Floats:
    """Products and Gaussians of vectors of the same block, Gaussians of the same cell."""
    product = one.vectors @ other.vectors.T
    block = one.blocks[:, None] == other.blocks[None]
    near = np.zeros(block.shape)  # where blocks differ it counts for nothing
    for name in np.unique(one.blocks):
        here = np.ix_(one.blocks == name, other.blocks == name)
        pair = one.vectors[here[0][:, 0]], other.vectors[here[1][0]]
        near[here] = np.exp(-cdist(*pair, "sqeuclidean"))
    cell = one.cells[:, None] == other.cells[None]
    return np.asarray(block * (product + near) * weight + cell * near, dtype=np.float64)


def _word_kernel(one: _Seen, other: _Seen) -> Floats:
    """Products of hashed n-grams, and equal relations."""
    same = one.relations[:, None] == other.relations[None]
    return np.asarray((one.words @ other.words.T).toarray() + same, dtype=np.float64)


def _content_kernels(one: _Seen, other: _Seen) -> list[Floats]:
    """Words; words and clean answer; each with the vector."""
    words, vectors = _word_kernel(one, other), _kernel(one, other)
    clean = words + (one.clean[:, None] == other.clean[None])
    return [words, clean, words + vectors, clean + vectors]


class _Classes:
    """A regression for each answer of train; the guess is the one with the largest value."""

    def __init__(self, kernel: Floats, answers: Texts) -> None:
        self._names, index = np.unique(answers, return_inverse=True)
        self._weights = _solved(kernel, np.eye(len(self._names))[index], CONTENT_RIDGE)

    def guesses(self, kernel: Floats, never: Texts | None = None) -> Texts:
        """One answer a row, other than that of `never`, (n,)."""
        values = kernel @ self._weights
        if never is not None:
            values = np.where(never[:, None] == self._names[None], -np.inf, values)
        return np.asarray(self._names[values.argmax(1)])


def _named(text: str, answer: str, ways: Sequence[Texts], row: int) -> bool:
    """Whether an answer stands in the text or is what some way guesses of this row."""
    copied = answer.casefold() in normalise_content(text).casefold()
    return copied or any(guess[row] == answer for guess in ways)


def _solved(kernel: Floats, wanted: Floats, penalty: float) -> Floats:
    return np.asarray(
        np.linalg.solve(kernel + penalty * np.eye(len(kernel)), wanted), dtype=np.float64
    )


def _normalised(answers: Sequence[str]) -> Texts:
    return np.array([normalise_content(answer) for answer in answers])
