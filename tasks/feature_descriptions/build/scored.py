"""The windows that a feature is scored on: matched occurrences, and random windows with weights.

Owns the choice. Eight *matched* windows, four in which the marked token is strong and four in which
the same token (or bigram) is silent, and eight *random* ones, four of the windows in which the
feature is active and four of the others, with the weight of what each stands for. A feature of the
token itself has random windows alone. Pure but for the Generator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..windows import WINDOW
from .matched import Matches

PAIRS = 4
"""Matched pairs of a feature."""
RANDOM = 4
"""Random windows in which it is active, and in which it is not."""
A_KEY = 2
"""Pairs of one key that are taken while other keys have some left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Windows of one feature, matched ones first, each strong one before its silent one."""

    windows: npt.NDArray[np.int64]
    """Numbers of the windows, (16,)."""
    marks: npt.NDArray[np.int8]
    """Position of the scored token, -1 in random windows, (16,)."""
    strong: npt.NDArray[np.bool_]
    """Whether the marked token is strong, (16,)."""
    group: npt.NDArray[np.int8]
    """Number of the marked token (or bigram), -1 in random windows, (16,)."""
    weights: npt.NDArray[np.float32]
    """Share of the text's windows that a random window stands for, 0 for matched ones, (16,)."""


def choose(
    matches: Matches,
    peaks: npt.NDArray[np.float32],
    *,
    rng: np.random.Generator,
) -> Scored | None:
    """Choose the windows of a feature, or None if it has too few.

    Args:
        matches: its strong and silent occurrences.
        peaks: its largest activation in each window of the text, (n_windows,).
        rng: draws.
    """
    pairs = _pairs(matches, rng)
    active, silent = np.flatnonzero(peaks > 0), np.flatnonzero(peaks == 0)
    if pairs is None or min(len(active), len(silent)) < RANDOM:
        return None
    rows = np.array([row for pair in pairs for row in pair[1:]], dtype=np.int64)
    numbers = {key: number for number, key in enumerate(dict.fromkeys(pair[0] for pair in pairs))}
    drawn, weights = _random(peaks, RANDOM, rng)
    none = np.full(2 * RANDOM, -1)
    group = np.repeat([numbers[pair[0]] for pair in pairs], 2)
    return Scored(
        windows=np.concatenate([rows // WINDOW, drawn]),
        marks=np.concatenate([rows % WINDOW, none]).astype(np.int8),
        strong=np.array([True, False] * PAIRS + [False] * 2 * RANDOM, dtype=np.bool_),
        group=np.concatenate([group, none]).astype(np.int8),
        weights=np.concatenate([np.zeros(2 * PAIRS, dtype=np.float32), weights]),
    )


def choose_random(peaks: npt.NDArray[np.float32], *, rng: np.random.Generator) -> Scored | None:
    """Choose random windows alone, as many in all, or None if there are too few.

    Args:
        peaks: largest activation in each window of the text, (n_windows,).
        rng: draws.
    """
    each = PAIRS + RANDOM
    if min((peaks > 0).sum(), (peaks == 0).sum()) < each:
        return None
    drawn, weights = _random(peaks, each, rng)
    none = np.full(2 * each, -1, dtype=np.int8)
    strong = np.zeros(2 * each, dtype=np.bool_)
    return Scored(windows=drawn, marks=none, strong=strong, group=none, weights=weights)


def _random(
    peaks: npt.NDArray[np.float32], each: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """So many windows in which a feature is active and as many others, and what each stands for."""
    sides = (np.flatnonzero(peaks > 0), np.flatnonzero(peaks == 0))
    drawn = [np.sort(rng.choice(side, each, replace=False)) for side in sides]
    shares = [len(side) / each / len(peaks) for side in sides]
    return np.concatenate(drawn), np.repeat(shares, each).astype(np.float32)


def _pairs(matches: Matches, rng: np.random.Generator) -> list[tuple[int, int, int]] | None:
    """Key, strong row and silent row of each pair, no window twice."""
    sides = []
    for rows, of in (
        (matches.strong, matches.strong_group),
        (matches.silent, matches.silent_group),
    ):
        order = rng.permutation(len(rows))
        sides.append(
            [rows[order][of[order] == number].tolist() for number in range(len(matches.keys))]
        )
    used: set[int] = set()
    found: list[tuple[int, int, int]] = []
    taken = np.zeros(len(matches.keys), dtype=np.int64)
    for limit in (A_KEY, PAIRS):
        for number in rng.permutation(len(matches.keys)).tolist():
            while len(found) < PAIRS and taken[number] < limit:
                strong = _unused(sides[0][number], used)
                silent = _unused(
                    sides[1][number], used | ({strong // WINDOW} if strong >= 0 else set())
                )
                if strong < 0 or silent < 0:
                    break
                used |= {strong // WINDOW, silent // WINDOW}
                found.append((int(matches.keys[number]), strong, silent))
                taken[number] += 1
    return sorted(found) if len(found) == PAIRS else None


def _unused(rows: list[int], used: set[int]) -> int:
    """First row whose window is not used, -1 if there is none."""
    return next((row for row in rows if row // WINDOW not in used), -1)
