"""What null models look at: n-grams of the text, fields.

Everything that is learnt here without labels (vocabularies, means, components) is learnt on train.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from .columns import Columns, FloatArray, IntArray, Texts, texts

FIELDS = ("layers", "relation", "token", "answer_form", "n_tokens", "position")
"""Fields that become indicators, where a query has them."""


def place(columns: Columns) -> Texts:
    """Return kind and layers of each query as one text."""
    return texts(
        [f"{k}/{f.get('layers')}" for k, f in zip(columns.kind, columns.fields, strict=True)]
    )


def block(columns: Columns) -> Texts:
    """Return the layers of each query as text."""
    return texts([str(f.get("layers")) for f in columns.fields])


def relation(columns: Columns) -> Texts:
    """Return the relation of each query, empty where it has none."""
    return texts([str(f.get("relation", "")) for f in columns.fields])


def numbered(train: Texts, *others: Texts) -> list[IntArray]:
    """Return names as numbers, -1 for those that train does not have."""
    known = {name: i for i, name in enumerate(sorted(set(train)))}
    return [np.array([known.get(x, -1) for x in part], dtype=np.int64) for part in (train, *others)]


def ngrams(parts: Sequence[Columns], views: Sequence[str] = ("text",)) -> list[Any]:
    """Return characters and words of texts as sparse tf-idf rows; the first part is train."""
    blocks: list[list[Any]] = [[] for _ in parts]
    for view in views:
        shown = [[_view(columns, i, view) for i in range(len(columns))] for columns in parts]
        # queries share texts, and each is read once
        read = [np.unique(np.array(part, dtype=str), return_inverse=True) for part in shown]
        for options in (
            {"analyzer": "char_wb", "ngram_range": (2, 4)},
            {"analyzer": "word", "ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b"},
        ):
            reader = TfidfVectorizer(
                max_features=30_000, sublinear_tf=True, lowercase=False, **options
            )
            reader.fit(read[0][0])
            for found, (distinct, place) in zip(blocks, read, strict=True):
                found.append(reader.transform(distinct)[place])
    return [sparse.hstack(found, format="csr") for found in blocks]


def with_marks(rows: Sequence[Any], parts: Sequence[Columns], *, clean: bool) -> list[Any]:
    """Return sparse rows with the fields of queries beside them, as indicators."""
    marks = [[_marks(columns, i, clean) for i in range(len(columns))] for columns in parts]
    reader = CountVectorizer(analyzer=list, binary=True)
    reader.fit(marks[0])
    return [
        sparse.hstack([part, 0.5 * reader.transform(own)], format="csr")
        for part, own in zip(rows, marks, strict=True)
    ]


def _view(columns: Columns, i: int, view: str) -> str:
    text, removed = str(columns.text[i]), str(columns.fields[i].get("removed", ""))
    return {"text": text, "removed": removed, "rest": text.replace(removed, " ", 1)}[view]


def _marks(columns: Columns, i: int, clean: bool) -> list[str]:
    fields = columns.fields[i]
    found = [f"kind={columns.kind[i]}"]
    found += [f"{name}={fields[name]}" for name in FIELDS if name in fields]
    if "layers" in fields:
        found.append(f"place={columns.kind[i]}/{fields['layers']}")
    if clean:
        answer = columns.clean[i]
        found += [f"clean={answer}", f"clean={answer}&relation={fields.get('relation')}"]
        for view in ("removed", "rest"):
            inside = _view(columns, i, view)
            found += [f"clean in {view}={answer in inside}", f"{view}&{answer}:{inside[-12:]}"]
    return found


def reduced(rows: Sequence[Any], n: int, seed: int) -> list[FloatArray]:
    """Return sparse rows as their largest singular components, (n_rows, n) each."""
    n = min(n, min(rows[0].shape) - 1)
    if n < 1:
        return [part.toarray().astype(np.float64) for part in rows]
    svd = TruncatedSVD(n, random_state=seed).fit(rows[0])
    return [svd.transform(part) for part in rows]
