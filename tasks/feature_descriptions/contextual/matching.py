"""Strong and silent occurrences of one and the same token or bigram, and how well they are told.

Owns what *strong* means, the groups of occurrences that a reader of the token (or of two tokens)
can't tell apart, and the pairwise AUROC within them. An occurrence is a row: window * 32 + position.
Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from introspect_bench.tasks.feature_descriptions.windows import WINDOW

STRONGEST = 10
"""A strong activation is at least half the mean of so many largest ones."""
EARLIEST = 2
"""First position of a window that is matched: before it there is no context."""

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


def token_keys(ids: npt.NDArray[np.int32]) -> Rows:
    """Key of every row by its token, (n_windows * 32,); windows int32 (n_windows, 32)."""
    return ids.ravel().astype(np.int64)


def bigram_keys(ids: npt.NDArray[np.int32]) -> Rows:
    """Key of every row by its token and the one before; -1 where the window begins."""
    keys = ids.astype(np.int64).copy()
    keys[:, 1:] += (ids[:, :-1].astype(np.int64) + 1) << 32
    keys[:, 0] = -1
    return keys.ravel()


def strong_level(values: Floats) -> float:
    """Activation from which an occurrence is strong: half the mean of the largest ten."""
    largest = np.sort(values)[-STRONGEST:]
    return float(largest.mean() / 2) if len(largest) else float("inf")


class Index:
    """Rows by key, for one way of matching."""

    def __init__(self, keys: Rows) -> None:
        """Sort the rows of a text by key, early positions left out."""
        rows = np.arange(len(keys))
        rows = rows[(rows % WINDOW >= EARLIEST) & (keys >= 0)]
        order = np.argsort(keys[rows], kind="stable")
        self.keys = keys
        self._rows = rows[order]
        self._sorted = keys[self._rows]

    def rows(self, key: int) -> Rows:
        """All rows of a key, ascending."""
        low, high = np.searchsorted(self._sorted, [key, key + 1])
        return self._rows[low:high]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Occurrences of one key, both kinds at least once."""

    key: int
    """The token or bigram."""
    strong: Rows
    """Rows at which the feature is strong, ascending."""
    silent: Rows
    """Rows at which it is exactly 0, ascending."""

    @property
    def pairs(self) -> int:
        """Pairs without an occurrence in two of them."""
        return min(len(self.strong), len(self.silent))


def matched(index: Index, rows: Rows, values: Floats, level: float) -> list[Matched]:
    """Group a feature's strong and silent occurrences.

    Args:
        index: of the text.
        rows: where the feature is active, ascending.
        values: its activations there, above 0.
        level: from `strong_level`.
    """
    keys = index.keys[rows]
    usable = (values >= level) & (keys >= 0) & (rows % WINDOW >= EARLIEST)
    found = []
    for key in np.unique(keys[usable]).tolist():
        silent = np.setdiff1d(index.rows(key), rows, assume_unique=True)
        if len(silent):
            strong = rows[usable & (keys == key)]
            found.append(Matched(key=key, strong=strong, silent=silent))
    return found


def pairs(groups: list[Matched]) -> int:
    """Pairs in all groups."""
    return sum(group.pairs for group in groups)


def within_auroc(groups: list[Matched], predicted: Mapping[int, float] | Floats) -> float:
    """Chance that a strong occurrence is predicted above a silent one of the same key.

    Each group weighs as many as it has pairs; ties count half.

    Args:
        groups: at least one.
        predicted: what is predicted, by row.

    Raises:
        ValueError: there is no group.
    """
    if not groups:
        raise ValueError("no groups: an AUROC over nothing has no value")
    total = weight = 0.0
    for group in groups:
        high = np.array([predicted[row] for row in group.strong.tolist()])
        low = np.array([predicted[row] for row in group.silent.tolist()])
        wins = (high[:, None] > low).mean() + (high[:, None] == low).mean() / 2
        total += group.pairs * float(wins)
        weight += group.pairs
    return total / weight
