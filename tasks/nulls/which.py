"""Null models of the kind `which`: which of four parts matters, from the words alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

from .columns import BoolArray, Columns, FloatArray, folds, reduced
from .heads import Head, boosted, logistic, scores

LABELS = ("A", "B", "C", "D")  # names of the parts; which part has which is said by the query
N = len(LABELS)
COMPONENTS = 48  # singular components of n-grams that trees see

Embed = Callable[[Sequence[str]], Any]  # texts to unit vectors, (n, width)


def fit_which(
    parts: Mapping[str, Columns], embed: Embed | None
) -> dict[str, dict[str, float | None]]:
    """Return the accuracy of each null by split: a head scores every part, the best is named."""
    columns = [*parts.values()]
    fold = np.repeat(folds(columns[0]), N)
    right = [_right(part) for part in columns]
    marks = [_marks(part) for part in columns]
    words = [
        sparse.hstack(rows, format="csr") for rows in zip(_ngrams(columns), marks, strict=True)
    ]
    trees = zip(reduced(words, COMPONENTS), marks, strict=True)
    heads: dict[str, tuple[Head, list[Any]]] = {
        "text regression": (logistic, words),
        "boosted trees": (boosted, [np.column_stack(rows) for rows in trees]),
    }
    if embed is not None:
        read = [
            np.column_stack([*map(embed, _views(part)), own])
            for part, own in zip(columns, marks, strict=True)
        ]
        heads["sentence embeddings"] = (logistic, read)
    # always the place or the label that is right most often in train
    best = int((marks[0] * right[0][:, None]).sum(0).argmax())
    values = {"constant": [own[:, best] for own in marks]}
    values |= {name: scores(head, rows, right[0], fold) for name, (head, rows) in heads.items()}
    return {
        name: dict(zip(parts, map(_accuracy, score, right), strict=True))
        for name, score in values.items()
    }


def _right(columns: Columns) -> BoolArray:
    """Whether each part of each query is the right one, (4 n,)."""
    pairs = zip(columns.fields, columns.part, strict=True)
    right = [part["label"] == label for fields, label in pairs for part in fields["parts"]]
    return np.array(right, dtype=bool)


def _marks(columns: Columns) -> FloatArray:
    """Place and label of each part as indicators, (4 n, 8)."""
    labels = [part["label"] for fields in columns.fields for part in fields["parts"]]
    own = np.array([[label == name for name in LABELS] for label in labels], dtype=np.float64)
    return np.concatenate([np.tile(np.eye(N), (len(columns), 1)), own.reshape(-1, N)], axis=1)


def _accuracy(score: FloatArray, right: BoolArray) -> float | None:
    if not len(right):
        return None
    best = score.reshape(-1, N).argmax(1)
    return float(right.reshape(-1, N)[np.arange(len(best)), best].mean())


def _views(columns: Columns) -> tuple[list[str], list[str]]:
    """The part, and the text without it, for each part of each query."""
    own, rest = [], []
    for fields in columns.fields:
        text = str(fields["text"])
        for part in fields["parts"]:
            start, end = part["span"]
            own.append(text[start:end])
            rest.append(text[:start] + " " + text[end:])
    return own, rest


def _ngrams(columns: Sequence[Columns]) -> list[Any]:
    views = [_views(part) for part in columns]
    blocks: list[list[Any]] = [[] for _ in columns]
    for which in (0, 1):
        pattern = r"(?u)\b\w+\b|\S"
        reader = TfidfVectorizer(
            ngram_range=(1, 2), token_pattern=pattern, lowercase=False, sublinear_tf=True
        )
        reader.fit(views[0][which])
        for found, view in zip(blocks, views, strict=True):
            found.append(reader.transform(view[which]))
    return [sparse.hstack(found, format="csr") for found in blocks]
