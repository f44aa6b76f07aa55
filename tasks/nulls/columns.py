"""Queries of one split with their truth, as columns: what null models read, and its features.

Everything that is learnt here without labels (vocabularies, components) is learnt on train.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from ...benchmark.metrics.verdicts import normalise_content
from ...benchmark.suite.suite import Suite

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
Texts = npt.NDArray[np.object_]  # Strings, (n,) or (n, TOP)
FOLDS = 5  # folds of train on which rules are chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Columns of equal length; contents are normalised as scoring does it."""

    fields: Sequence[Mapping[str, Any]]  # what prompts may use
    kind: Texts
    group: IntArray  # number of the contrast group
    text: Texts
    clean: Texts  # output without the intervention
    outcome: Texts  # output with it
    part: Texts  # letter of the right part (kind `which`), else empty
    source: Texts  # the source prompt's own answer (patching), else empty
    vector: npt.NDArray[np.float32] | None = None  # (n, d_target)
    original: npt.NDArray[np.float32] | None = None
    """The unpatched activation at the query's place, (n, d_target), where somebody measured it."""

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self.fields)

    @property
    def changed(self) -> BoolArray:
        """Whether the output changed."""
        return np.asarray(self.clean != self.outcome, dtype=bool)

    def take(self, rows: IntArray | BoolArray) -> Columns:
        """Return the columns of some rows."""
        chosen = np.arange(len(self))[rows]
        own = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "fields"}
        taken: dict[str, Any] = {
            name: None if value is None else value[chosen] for name, value in own.items()
        }
        return Columns(fields=[self.fields[i] for i in chosen], **taken)


def read_columns(suite: Suite, split: str, kinds: Sequence[str] | None = None) -> Columns:
    """Read a split of a causal task, or its queries of some kinds.

    Raises UsageError: no such split; IntegrityError: a file is not what the manifest says.
    """
    queries = [q for q in suite.queries(split) if kinds is None or q.kind in kinds]
    truth, told = suite.truth(split), suite.oracle(split)
    numbers = {name: i for i, name in enumerate(dict.fromkeys(q.group for q in queries))}
    rows = [query.vector for query in queries if query.vector is not None]
    vector = suite.vectors(split)[rows].astype(np.float32) if rows else None
    return Columns(
        fields=[query.fields for query in queries],
        kind=texts([query.kind for query in queries]),
        group=np.array([numbers[query.group] for query in queries], dtype=np.int64),
        text=texts([str(query.fields["text"]) for query in queries]),
        clean=texts([normalise_content(truth[q.id].clean) for q in queries]),
        outcome=texts([normalise_content(truth[q.id].outcome) for q in queries]),
        part=texts([getattr(truth[q.id], "part", None) or "" for q in queries]),
        source=texts([normalise_content(told[q.id]["source"] or "") for q in queries]),
        vector=vector,
    )


def texts(values: Sequence[str]) -> Texts:
    """Return strings as an object array."""
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def folds(columns: Columns, n: int = FOLDS) -> IntArray:
    """Return a fold for each query; queries of one text or one group are never in two.

    Folds are dealt to texts in the order in which they first appear, so nothing is left to chance.
    """
    by_text: dict[str, int] = {}
    by_group: dict[int, int] = {}
    dealt = 0
    for text, group in zip(columns.text, columns.group.tolist(), strict=True):
        fold = by_text.get(text, by_group.get(group))
        if fold is None:
            fold, dealt = dealt % n, dealt + 1
        by_text.setdefault(text, fold)
        by_group.setdefault(group, fold)
    return np.array([by_text[text] for text in columns.text], dtype=np.int64)


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


def view(columns: Columns, name: str) -> Texts:
    """Return the shown `text` of each query, the part that is `removed`, or the `rest`."""
    removed = [str(fields.get("removed", "")) for fields in columns.fields]
    if name == "removed":
        return texts(removed)
    if name == "text":
        removed = [""] * len(columns)
    pairs = zip(columns.text, removed, strict=True)
    return texts([text.replace(part, " ", 1) if part else text for text, part in pairs])


def numbered(train: Texts, *others: Texts) -> list[IntArray]:
    """Return names as numbers, -1 for those that train does not have."""
    known = {name: i for i, name in enumerate(sorted(set(train)))}
    return [np.array([known.get(x, -1) for x in part], dtype=np.int64) for part in (train, *others)]


def ngrams(parts: Sequence[Columns], views: Sequence[str] = ("text",)) -> list[Any]:
    """Return characters and words of texts as sparse tf-idf rows; the first part is train."""
    blocks: list[list[Any]] = [[] for _ in parts]
    for name in views:
        # queries share texts, and each is read once
        read = [np.unique(view(part, name).astype(str), return_inverse=True) for part in parts]
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
    marks = [_marks(columns, clean=clean) for columns in parts]
    reader = CountVectorizer(analyzer=list, binary=True)
    reader.fit(marks[0])
    return [
        sparse.hstack([part, 0.5 * reader.transform(own)], format="csr")
        for part, own in zip(rows, marks, strict=True)
    ]


def _marks(columns: Columns, *, clean: bool) -> list[list[str]]:
    removed, rest = view(columns, "removed"), view(columns, "rest")
    rows = []
    for i, (kind, own) in enumerate(zip(columns.kind, columns.fields, strict=True)):
        found = [f"kind={kind}"]
        found += [f"{name}={own[name]}" for name in FIELDS if name in own]
        if "layers" in own:
            found.append(f"place={kind}/{own['layers']}")
        if clean:
            answer = columns.clean[i]
            found += [f"clean={answer}", f"clean={answer}&relation={own.get('relation')}"]
            for name, inside in (("removed", removed[i]), ("rest", rest[i])):
                found += [f"clean in {name}={answer in inside}", f"{name}&{answer}:{inside[-12:]}"]
        rows.append(found)
    return rows


def beside(*blocks: Sequence[Any]) -> list[Any]:
    """Return dense columns side by side, part by part."""
    return [np.column_stack(rows) for rows in zip(*blocks, strict=True)]


def reduced(rows: Sequence[Any], n: int) -> list[FloatArray]:
    """Return sparse rows as their largest singular components, (n_rows, n) each."""
    n = min(n, min(rows[0].shape) - 1)
    if n < 1:
        return [part.toarray().astype(np.float64) for part in rows]
    svd = TruncatedSVD(n, random_state=0).fit(rows[0])
    return [svd.transform(part) for part in rows]
