"""Strong and silent occurrences of one and the same token or bigram, and how well they are told.

Owns what *strong* means, the groups of occurrences that a reader of the token (or of two tokens)
can't tell apart, and the AUROC of flags within them. An occurrence is a row: window * 32 +
position. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..windows import WINDOW

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
class Matches:
    """Strong and silent occurrences of one feature, in groups of equal key; both in every group."""

    keys: Rows
    """Token or bigram of each group, (n_groups,)."""
    strong: Rows
    """Rows at which the feature is strong, (n_strong,)."""
    strong_group: Rows
    """Group of each, never falling."""
    silent: Rows
    """Rows at which it is exactly 0, (n_silent,)."""
    silent_group: Rows
    """Group of each, never falling."""

    @property
    def pairs(self) -> Rows:
        """Pairs of each group without an occurrence in two of them, (n_groups,)."""
        n = len(self.keys)
        counts = [np.bincount(of, minlength=n) for of in (self.strong_group, self.silent_group)]
        return np.minimum(*counts)


def match(index: Index, rows: Rows, values: Floats, level: float) -> Matches:
    """Group a feature's strong and silent occurrences.

    Args:
        index: of the text.
        rows: where the feature is active, ascending.
        values: its activations there, above 0.
        level: from `strong_level`.
    """
    keys = index.keys[rows]
    usable = (values >= level) & (keys >= 0) & (rows % WINDOW >= EARLIEST)
    kept: list[int] = []
    strong: list[Rows] = []
    silent: list[Rows] = []
    for key in np.unique(keys[usable]).tolist():
        quiet = np.setdiff1d(index.rows(key), rows, assume_unique=True)
        if len(quiet):
            kept.append(key)
            strong.append(rows[usable & (keys == key)])
            silent.append(quiet)
    empty = np.empty(0, dtype=np.int64)
    numbers = np.arange(len(kept))
    return Matches(
        keys=np.array(kept, dtype=np.int64),
        strong=np.concatenate([empty, *strong]),
        strong_group=np.repeat(numbers, [len(each) for each in strong]),
        silent=np.concatenate([empty, *silent]),
        silent_group=np.repeat(numbers, [len(each) for each in silent]),
    )


def flags_auroc(matches: Matches, flags: npt.NDArray[np.bool_]) -> float:
    """Chance that a strong occurrence is flagged above a silent one of the same key, ties half.

    Each group weighs as many as it has pairs.

    Args:
        matches: at least one group.
        flags: where a predicate holds, by row.

    Raises:
        ValueError: there is no group.
    """
    n = len(matches.keys)
    if not n:
        raise ValueError("no groups: an AUROC over nothing has no value")
    shares = [
        np.bincount(of, flags[rows].astype(np.float64), minlength=n) / np.bincount(of, minlength=n)
        for rows, of in (
            (matches.strong, matches.strong_group),
            (matches.silent, matches.silent_group),
        )
    ]
    # of two flags: P(1, 0) + P(equal) / 2
    return float(np.average(0.5 + (shares[0] - shares[1]) / 2, weights=matches.pairs))
