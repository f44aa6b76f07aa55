"""Queries of one split with their truth, as columns: what null models read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...benchmark.metrics.verdicts import normalise_content
from ...benchmark.suite.suite import Suite

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
Texts = npt.NDArray[np.object_]  # Strings, (n,) or (n, TOP)


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
        return Columns(
            fields=[self.fields[i] for i in chosen],
            vector=None if self.vector is None else self.vector[chosen],
            original=None if self.original is None else self.original[chosen],
            **{
                name: getattr(self, name)[chosen]
                for name in ("kind", "group", "text", "clean", "outcome", "part", "source")
            },
        )


def read_columns(
    suite: Suite, split: str, *, original: npt.NDArray[np.float32] | None = None
) -> Columns:
    """Read a split of a causal task.

    Raises UsageError: no such split; IntegrityError: a file is not what the manifest says.
    """
    queries = suite.queries(split)
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
        original=original,
    )


def texts(values: Sequence[str]) -> Texts:
    """Return strings as an object array."""
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def folds(columns: Columns, n: int) -> IntArray:
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
