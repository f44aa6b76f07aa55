"""The windows that a feature is scored on: matched occurrences, and random windows with weights.

Eight *matched* windows, four in which the marked token is strong and four in which the same token
(or bigram) is silent, so that a reader of the token (or of two tokens) can't tell them apart; and
eight *random* ones, four of the windows in which the feature is active and four of the others, with
the weight of what each stands for. A feature of the token itself has random windows alone. An
occurrence is a row: window * 32 + position. Pure but for the Generator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ..windows import WINDOW, Floats, Ids, pair_keys

STRONGEST = 10  # a strong activation is at least half the mean of so many largest ones
EARLIEST = 2  # first position of a window that is matched: before it there is no context
PAIRS = 4  # matched pairs of a feature
RANDOM = 4  # random windows in which it is active, and in which it is not
A_KEY = 2  # pairs of one key that are taken while other keys have some left

Rows = npt.NDArray[np.int64]


def token_keys(ids: Ids) -> Rows:
    """Key of every row by its token, (n_windows * 32,); windows int32 (n_windows, 32)."""
    return ids.ravel().astype(np.int64)


def bigram_keys(ids: Ids) -> Rows:
    """Key of every row by its token and the one before; -1 where the window begins."""
    keys = pair_keys(ids)
    keys[:, 0] = -1
    return keys.ravel()


KEYS = {"token": token_keys, "bigram": bigram_keys}  # what is equal in a pair of occurrences


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


class Side:
    """A text with the activations of one layer's latents."""

    def __init__(self, ids: Ids, activations: sparse.csc_matrix) -> None:
        """Bind windows (n_windows, 32) and activations (n_windows * 32, latents), none below 0."""
        self.ids, self.activations = ids, activations
        self.indices = {name: Index(keys(ids)) for name, keys in KEYS.items()}

    def feature(self, latent: int) -> tuple[Rows, Floats]:
        """Rows on which a latent is active, ascending, and its activations there."""
        low, high = self.activations.indptr[latent : latent + 2]
        rows, values = self.activations.indices[low:high], self.activations.data[low:high]
        order = np.argsort(rows, kind="stable")
        return rows[order].astype(np.int64), values[order].astype(np.float32)

    def values(self, latent: int, windows: Rows) -> Floats:
        """Activations of a latent on windows, (n_windows, 32)."""
        column = np.asarray(self.activations[:, [latent]].todense(), dtype=np.float32)
        return column.reshape(-1, WINDOW)[windows]

    def scored(self, latent: int, kind: str, *, level: float, seed: int) -> ScoredWindows | None:
        """Choose windows of a latent, strong from `level` on; None if there are too few.

        Features of kind `token` have random windows alone; for the others kind `bigram` says that
        two tokens are equal in a pair, any other one. The seed with the latent decides the draw.
        """
        rows, values = self.feature(latent)
        peaks = np.zeros(len(self.ids), dtype=np.float32)
        np.maximum.at(peaks, rows // WINDOW, values)
        index = self.indices["bigram" if kind == "bigram" else "token"]
        matches = None if kind == "token" else match(index, rows, values, level)
        return choose(matches, peaks, rng=np.random.default_rng([seed, latent]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """Strong and silent occurrences of one feature, in groups of equal key; both in every group."""

    keys: Rows  # token or bigram of each group, (n_groups,)
    strong: Rows  # rows at which the feature is strong, (n_strong,)
    strong_group: Rows  # group of each, never falling
    silent: Rows  # rows at which it is exactly 0, (n_silent,)
    silent_group: Rows  # group of each, never falling

    @property
    def sides(self) -> tuple[tuple[Rows, Rows], tuple[Rows, Rows]]:
        """Rows and groups of strong occurrences, and of silent ones."""
        return (self.strong, self.strong_group), (self.silent, self.silent_group)

    @property
    def pairs(self) -> Rows:
        """Pairs of each group without an occurrence in two of them, (n_groups,)."""
        return np.minimum(*(np.bincount(of, minlength=len(self.keys)) for _, of in self.sides))


def strong_level(values: Floats) -> float:
    """Activation from which an occurrence is strong: half the mean of the largest ten."""
    largest = np.sort(values)[-STRONGEST:]
    return float(largest.mean() / 2) if len(largest) else float("inf")


def match(index: Index, rows: Rows, values: Floats, level: float) -> Matches:
    """Group a feature's strong and silent occurrences.

    Rows are where the feature is active, ascending; values its activations there, above 0; the
    level is `strong_level`'s.
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

    Each group weighs as many as it has pairs. `flags` say by row where a predicate holds.
    """
    n = len(matches.keys)
    if not n:
        raise ValueError("no groups: an AUROC over nothing has no value")
    strong, silent = (
        np.bincount(of, flags[rows].astype(np.float64), minlength=n) / np.bincount(of, minlength=n)
        for rows, of in matches.sides
    )
    # of two flags: P(1, 0) + P(equal) / 2
    return float(np.average(0.5 + (strong - silent) / 2, weights=matches.pairs))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredWindows:
    """Windows of one feature, matched ones first, each strong one before its silent one."""

    windows: Rows  # numbers of the windows, (16,)
    marks: npt.NDArray[np.int8]  # position of the scored token, -1 in random windows, (16,)
    strong: npt.NDArray[np.bool_]  # whether the marked token is strong, (16,)
    group: npt.NDArray[np.int8]  # number of the marked token or bigram, -1 in random ones, (16,)
    weights: Floats
    """Share of the text's windows that a random window stands for, 0 for matched ones, (16,)."""


def choose(
    matches: Matches | None, peaks: Floats, *, rng: np.random.Generator
) -> ScoredWindows | None:
    """Choose the windows of a feature, or None if it has too few; random ones alone if no matches.

    `peaks` are its largest activation in each window of the text, (n_windows,).
    """
    pairs = [] if matches is None else _pairs(matches, rng)
    each = PAIRS + RANDOM if matches is None else RANDOM
    if pairs is None or min((peaks > 0).sum(), (peaks == 0).sum()) < each:
        return None
    rows = np.array([row for pair in pairs for row in pair[1:]], dtype=np.int64)
    numbers = {key: number for number, key in enumerate(dict.fromkeys(pair[0] for pair in pairs))}
    drawn, weights = _random(peaks, each, rng)
    none = np.full(2 * each, -1)
    group = np.repeat([numbers[pair[0]] for pair in pairs], 2)
    return ScoredWindows(
        windows=np.concatenate([rows // WINDOW, drawn]),
        marks=np.concatenate([rows % WINDOW, none]).astype(np.int8),
        strong=np.array([True, False] * len(pairs) + [False] * 2 * each, dtype=np.bool_),
        group=np.concatenate([group, none]).astype(np.int8),
        weights=np.concatenate([np.zeros(len(rows), dtype=np.float32), weights]),
    )


def _random(peaks: Floats, each: int, rng: np.random.Generator) -> tuple[Rows, Floats]:
    """So many windows in which a feature is active and as many others, and what each stands for."""
    sides = (np.flatnonzero(peaks > 0), np.flatnonzero(peaks == 0))
    drawn = [np.sort(rng.choice(side, each, replace=False)) for side in sides]
    shares = [len(side) / each / len(peaks) for side in sides]
    return np.concatenate(drawn), np.repeat(shares, each).astype(np.float32)


def _pairs(matches: Matches, rng: np.random.Generator) -> list[tuple[int, int, int]] | None:
    """Key, strong row and silent row of each pair, no window twice."""
    n, sides = len(matches.keys), []
    for rows, of in matches.sides:
        order = rng.permutation(len(rows))
        sides.append([rows[order][of[order] == number].tolist() for number in range(n)])
    used: set[int] = set()
    found: list[tuple[int, int, int]] = []
    taken = np.zeros(n, dtype=np.int64)
    for limit in (A_KEY, PAIRS):
        for number in rng.permutation(n).tolist():
            while len(found) < PAIRS and taken[number] < limit:
                strong = _unused(sides[0][number], used)
                also = {strong // WINDOW} if strong >= 0 else set()
                silent = _unused(sides[1][number], used | also)
                if strong < 0 or silent < 0:
                    break
                used |= {strong // WINDOW, silent // WINDOW}
                found.append((int(matches.keys[number]), strong, silent))
                taken[number] += 1
    return sorted(found) if len(found) == PAIRS else None


def _unused(rows: list[int], used: set[int]) -> int:
    """First row whose window is not used, -1 if there is none."""
    return next((row for row in rows if row // WINDOW not in used), -1)
