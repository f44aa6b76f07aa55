"""How unlike changed and unchanged members of groups are: distances, ranks, means. Pure.

The members of a group are ranked by each distance; what is counted is how many changed and
unchanged ones stand at each rank, and how far apart the two are on average.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from ....benchmark.metrics.verdicts import normalise_content

GROUP_SIZE = 4  # members of a group
DISTANCES = ("to_original", "to_group_mean", "probe", "probe_of_cell", "rules", "norm", "to_mean")
"""Euclidean: from the activation that stood there; from the mean of the group's four vectors; two
linear probes of the verdict (`probes.py`); a regression of it on the queries of train (`rules.py`);
the vector's length; from the mean vector of the cell."""
PROBES = 2  # how many of them are probes
STRICT = 5
"""The first five of `DISTANCES` must stay balanced; the others are balanced where it costs nothing.
"""
WEIGHTS = np.array([3.0, 3.0, 3.0, 3.0, 3.0, 1.0, 1.0])
"""How much each distance counts in the choice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One measured patch that might be kept."""

    changed: bool  # whether the answer changed
    outcome: str  # answer after the patch
    source: str  # the source prompt's own answer
    guessed: bool  # whether the text alone or a clean run of it suggests the answer
    vector: npt.NDArray[np.float32]  # what was written, shape (d,)
    payload: Any  # whatever the caller needs to write the query
    verdict: float = 0.0
    """What rules fitted on train say of a change, in spreads; 0 if there are none."""
    ruled: bool = False  # whether they guess the answer


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateGroup:
    """Patches of one text at one place and block."""

    cell: str  # kind and block
    relation: str  # relation of the base prompt
    original: npt.NDArray[np.float32]  # block mean of the activation that stood there, shape (d,)
    mean: npt.NDArray[np.float32]  # mean vector of the cell, shape (d,)
    spread: float  # typical distance in the cell, to make gaps comparable
    probes: npt.NDArray[np.float64]  # directions of the cell's linear probes, shape (`PROBES`, d)
    members: tuple[Candidate, ...]


def overlap(one: str, other: str) -> bool:
    """Whether one of two answers is the other or contains it, normalised and case-folded."""
    a, b = normalise_content(one).casefold(), normalise_content(other).casefold()
    return a in b or b in a


def distances(group: CandidateGroup, chosen: Sequence[Sequence[int]]) -> npt.NDArray[np.float64]:
    """`DISTANCES` of choices of four members: (choices, distances, 4)."""
    vectors = np.stack([m.vector for m in group.members])[np.array(chosen)]
    verdicts = np.array([m.verdict for m in group.members])[np.array(chosen)] * group.spread
    own = vectors.mean(axis=-2, keepdims=True)
    norm = np.linalg.norm
    told = np.moveaxis(vectors @ group.probes.T, -1, -2)  # (..., probes, 4)
    found = [
        norm(vectors - group.original, axis=-1),
        norm(vectors - own, axis=-1),
        norm(vectors, axis=-1),
        norm(vectors - group.mean, axis=-1),
    ]
    far, plain = np.stack(found[:2], axis=-2), np.stack(found[2:], axis=-2)
    return np.concatenate([far, told, verdicts[:, None], plain], axis=-2)


@dataclass(slots=True)
class Tally:
    """How unlike changed and unchanged members of some groups are, by distance."""

    ranks: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.zeros((len(DISTANCES), GROUP_SIZE), np.int64)
    )
    """Changed minus unchanged members at each rank, nearest first."""
    gaps: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(DISTANCES)))
    """Sum over groups of the mean distance of changed minus that of unchanged, in spreads."""

    @property
    def leans(self) -> npt.NDArray[np.int64]:
        """Ranks of changed members minus ranks of unchanged ones, summed, by distance."""
        return lean(self.ranks)

    def cost(self) -> float:
        """What the choice makes small."""
        return float(cost(self.ranks, self.gaps))


def lean(ranks: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Ranks of changed members minus ranks of unchanged ones: (..., distances, ranks) summed."""
    total: npt.NDArray[np.int64] = (ranks * np.arange(GROUP_SIZE)).sum(-1)
    return total


def cost(ranks: npt.NDArray[np.int64], gaps: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Weighted squares of counts at ranks, of leans and of gaps; any leading shape."""
    squares = (ranks**2).sum(-1) + lean(ranks) ** 2 + 4 * gaps**2
    total: npt.NDArray[np.float64] = (squares * WEIGHTS).sum(-1)
    return total


@dataclass(slots=True, kw_only=True)
class Fours:
    """Every choice of four from a group, with what it would add to a tally."""

    members: Sequence[tuple[int, ...]]  # Indices; changed members first
    ranks: npt.NDArray[np.int64]  # (choices, distances, ranks)
    gaps: npt.NDArray[np.float64]  # (choices, distances)


def fours(group: CandidateGroup) -> Fours:
    """Two changed members with answers that do not overlap, and two unchanged ones."""
    changed = [i for i, m in enumerate(group.members) if m.changed]
    same = [i for i, m in enumerate(group.members) if not m.changed]
    pairs = [
        (a, b)
        for a, b in combinations(changed, 2)
        if not overlap(group.members[a].outcome, group.members[b].outcome)
    ]
    chosen = [(*pair, *rest) for pair in pairs for rest in combinations(same, 2)]
    return four_of(group, chosen)


def four_of(group: CandidateGroup, chosen: Sequence[tuple[int, ...]]) -> Fours:
    """What choices of four members, changed ones first, would add to a tally."""
    if not chosen:
        return Fours(
            members=[],
            ranks=np.zeros((0, len(DISTANCES), GROUP_SIZE), np.int64),
            gaps=np.zeros((0, len(DISTANCES))),
        )
    found = distances(group, chosen)
    sign = np.array([1, 1, -1, -1])
    order = np.argsort(found, axis=-1, kind="stable")
    return Fours(
        members=chosen,
        ranks=np.where(np.ptp(found, axis=-1, keepdims=True) > 0, sign[order], 0),
        gaps=(found * sign).sum(-1) / 2 / group.spread,
    )
