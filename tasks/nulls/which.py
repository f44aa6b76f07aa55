"""Null models of the kind `which`: which of four parts matters, from the words alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

from introspect_bench.tasks.nulls.columns import Columns, FloatArray, folds
from introspect_bench.tasks.nulls.features import reduced
from introspect_bench.tasks.nulls.heads import Head, boosted, logistic, scores

LETTERS = ("A", "B", "C", "D")
"""Names of the parts, in the order of the text."""
FOLDS = 5
"""Folds of train."""
COMPONENTS = 48
"""Singular components of n-grams that trees see."""

Embed = Callable[[Sequence[str]], Any]


def fit_which(
    parts: Mapping[str, Columns], embed: Embed | None
) -> dict[str, dict[str, float | None]]:
    """Return the accuracy of each null by split: a head scores every part, the best one is named.

    Args:
        parts: queries of this kind: train, then others by name.
        embed: a sentence encoder; left out if None.
    """
    columns = [*parts.values()]
    fold = np.repeat(folds(columns[0], FOLDS), len(LETTERS))
    right = [_right(part) for part in columns]
    commonest = int(right[0].reshape(-1, len(LETTERS)).sum(0).argmax())
    fixed = np.eye(len(LETTERS))[commonest]
    words = _ngrams(columns)
    heads: dict[str, tuple[Head, list[Any]]] = {
        "text regression": (logistic, words),
        "boosted trees": (
            boosted,
            [
                np.column_stack([rows, np.tile(np.arange(len(LETTERS)), len(part))])
                for part, rows in zip(columns, reduced(words, COMPONENTS, 0), strict=True)
            ],
        ),
    }
    if embed is not None:
        heads["sentence embeddings"] = (logistic, [_embedded(part, embed) for part in columns])
    found = {
        "constant": {
            name: _accuracy(np.tile(fixed, len(part)), own)
            for (name, part), own in zip(parts.items(), right, strict=True)
        }
    }
    for name, (head, rows) in heads.items():
        values = scores(head, rows, right[0], fold)
        found[name] = {
            split: _accuracy(score, own)
            for split, score, own in zip(parts, values, right, strict=True)
        }
    return found


def named_parts(fields: Mapping[str, Any]) -> list[str]:
    """Return the texts of a query's removable parts, in the order of their letters."""
    text = str(fields["text"])
    return [text[start:end] for start, end in fields["parts"]]


def _right(columns: Columns) -> Any:
    """Whether each part of each query is the right one, (4 n,)."""
    return np.array([letter == part for part in columns.part for letter in LETTERS], dtype=bool)


def _accuracy(score: FloatArray, right: Any) -> float | None:
    if not len(right):
        return None
    best = score.reshape(-1, len(LETTERS)).argmax(1)
    return float(right.reshape(-1, len(LETTERS))[np.arange(len(best)), best].mean())


def _views(columns: Columns) -> tuple[list[str], list[str]]:
    """The part, and the text around it, for each part of each query."""
    own, rest = [], []
    for fields in columns.fields:
        for part in named_parts(fields):
            own.append(part)
            rest.append(str(fields["text"]).replace(part, " ", 1))
    return own, rest


def _ngrams(columns: Sequence[Columns]) -> list[Any]:
    views = [_views(part) for part in columns]
    blocks: list[list[Any]] = [[] for _ in columns]
    for which in (0, 1):
        reader = TfidfVectorizer(
            min_df=2,
            ngram_range=(1, 2),
            token_pattern=r"(?u)\b\w+\b|\S",
            lowercase=False,
            sublinear_tf=True,
        )
        reader.fit(views[0][which])
        for found, view in zip(blocks, views, strict=True):
            found.append(reader.transform(view[which]))
    for found, part in zip(blocks, columns, strict=True):
        found.append(sparse.csr_matrix(np.tile(np.eye(len(LETTERS)), (len(part), 1))))
    return [sparse.hstack(found, format="csr") for found in blocks]


def _embedded(columns: Columns, embed: Embed) -> Any:
    own, rest = _views(columns)
    place = np.tile(np.eye(len(LETTERS)), (len(columns), 1))
    return np.concatenate([embed(own), embed(rest), place], axis=1)
