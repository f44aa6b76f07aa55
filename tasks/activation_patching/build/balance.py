"""How unlike changed and unchanged members of groups are, and how near to train. Pure.

The members of a group are ranked by each distance; what is counted is how many changed and
unchanged ones stand at each rank, and how far apart the two are on average.

Changed and unchanged vectors of one place differ in direction, not in length: unless it is matched,
a linear probe fitted on other groups tells them apart within groups (AUROC up to 0.72). Two probes
are fitted on train candidates before anything is chosen, by ridge regression within groups: one for
all cells, and one for each cell, with so large a penalty that it is nearly the difference of means.

Whoever learnt training vectors by heart answers queries whose vector is near one. Nearness is
compared within a kind of place and a block, after the mean of the training vectors there is taken
off: raw cosines are all near 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from ....benchmark.metrics.verdicts import normalise_content
from ....benchmark.suite.freeze import Measured

GROUP_SIZE = 4  # members of a group
DISTANCES = ("to_original", "to_group_mean", "probe", "probe_of_cell", "rules", "norm", "to_mean")
"""Euclidean: from the activation that stood there; from the mean of the group's four vectors; two
linear probes of the verdict; a regression of it on the queries of train (`rules.py`);
the vector's length; from the mean vector of the cell."""
PROBES = 2  # how many of them are probes
STRICT = 5
"""The first five of `DISTANCES` must stay balanced; the others are balanced where it costs nothing.
"""
WEIGHTS = np.array([3.0, 3.0, 3.0, 3.0, 3.0, 1.0, 1.0])
"""How much each distance counts in the choice."""
PENALTY, CELL_PENALTY = 1.0, 100.0  # ridge penalties, in mean variances of a coordinate
LEAST = 60  # candidates of a cell below which it has no probe of its own

Floats = npt.NDArray[np.float64]


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


Four = tuple[CandidateGroup, tuple[Candidate, ...]]
"""A group with the four members that are kept of it."""


def overlap(one: str, other: str) -> bool:
    """Whether one of two answers is the other or contains it, normalised and case-folded."""
    a, b = normalise_content(one).casefold(), normalise_content(other).casefold()
    return a in b or b in a


def distances(group: CandidateGroup, chosen: Sequence[Sequence[int]]) -> npt.NDArray[np.float64]:
    """`DISTANCES` of choices of four members: (choices, distances, 4)."""
    vectors = np.stack([m.vector for m in group.members])[np.array(chosen)]
    verdicts = np.array([m.verdict for m in group.members])[np.array(chosen)] * group.spread
    own = vectors.mean(axis=-2, keepdims=True)
    told = np.moveaxis(vectors @ group.probes.T, -1, -2)  # (choices, probes, 4)
    original, mean, length, centre = (
        np.linalg.norm(vectors - point, axis=-1)[:, None]
        for point in (group.original, own, np.float32(0), group.mean)
    )
    return np.concatenate([original, mean, told, verdicts[:, None], length, centre], axis=-2)


@dataclass(slots=True)
class Tally:
    """How unlike changed and unchanged members of some groups are, by distance."""

    ranks: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.zeros((len(DISTANCES), GROUP_SIZE), np.int64)
    )
    """Changed minus unchanged members at each rank, nearest first."""
    gaps: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(DISTANCES)))
    """Sum over groups of the mean distance of changed minus that of unchanged, in spreads."""


def lean(ranks: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Ranks of changed members minus ranks of unchanged ones: (..., distances, ranks) summed."""
    return np.asarray((ranks * np.arange(GROUP_SIZE)).sum(-1))


def cost(ranks: npt.NDArray[np.int64], gaps: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Weighted squares of counts at ranks, of leans and of gaps; any leading shape."""
    squares = (ranks**2).sum(-1) + lean(ranks) ** 2 + 4 * gaps**2
    return np.asarray((squares * WEIGHTS).sum(-1))


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """Directions of length 1 / spread within groups, so that scores of all cells compare."""

    everywhere: Floats  # of all cells, shape (d,)
    cells: Mapping[str, tuple[Floats, float]]
    """Of each cell its own direction, and its scale of the direction of all."""

    def of(self, cell: str) -> Floats:
        """Both probes of a cell, shape (`PROBES`, d)."""
        own, scale = self.cells.get(cell, (self.everywhere, 1.0))
        return np.stack([self.everywhere * scale, own])


def fit_probes(groups: Sequence[CandidateGroup]) -> Probes | None:
    """Fit on measured candidates; None where they cannot tell anything."""
    by_cell: dict[str, list[tuple[Floats, Floats]]] = {}
    for group in groups:
        verdicts = np.array([member.changed for member in group.members], dtype=np.float64)
        if 0 < verdicts.sum() < len(verdicts):
            rows = np.stack([m.vector for m in group.members]).astype(np.float64) / group.spread
            centred = rows - rows.mean(0), verdicts - verdicts.mean()
            by_cell.setdefault(group.cell, []).append(centred)
    if not by_cell:
        return None
    joined = {cell: _join(pairs) for cell, pairs in by_cell.items()}
    everywhere = _ridge(*_join([*joined.values()]), PENALTY)
    cells = {}
    for cell, (rows, verdicts) in joined.items():
        own = everywhere
        if len(rows) >= LEAST:
            own = _ridge(rows, verdicts, CELL_PENALTY)
        cells[cell] = own / _spread(rows @ own), 1.0 / _spread(rows @ everywhere)
    mean = float(np.mean([1.0 / scale for _, scale in cells.values()]))
    return Probes(
        everywhere=everywhere / mean, cells={c: (own, s * mean) for c, (own, s) in cells.items()}
    )


def no_probes(width: int) -> Floats:
    """Probes that tell nothing, shape (`PROBES`, width)."""
    return np.zeros((PROBES, width))


def _join(pairs: Sequence[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    return np.concatenate([rows for rows, _ in pairs]), np.concatenate([v for _, v in pairs])


def _ridge(rows: Floats, verdicts: Floats, penalty: float) -> Floats:
    gram = rows.T @ rows
    gram[np.diag_indices_from(gram)] += penalty * max(np.trace(gram) / len(gram), 1e-12)
    return np.asarray(np.linalg.solve(gram, rows.T @ verdicts), dtype=np.float64)


def _spread(scores: Floats) -> float:
    return max(float(scores.std()), 1e-12)


def nearest(vectors: npt.NDArray[Any], training: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Largest cosine of each of `vectors` (n, d) with one of `training` (m, d), centred; (n,).

    Both are centred with the mean of `training`.
    """
    centre = training.astype(np.float64).mean(axis=0)
    left, right = vectors.astype(np.float64) - centre, training.astype(np.float64) - centre
    left /= np.maximum(np.linalg.norm(left, axis=1, keepdims=True), 1e-12)
    right /= np.maximum(np.linalg.norm(right, axis=1, keepdims=True), 1e-12)
    found: npt.NDArray[np.float64] = (left @ right.T).max(axis=1)
    return found


def with_nearest(
    groups: Mapping[str, Sequence[Sequence[Measured]]],
) -> dict[str, list[list[Measured]]]:
    """Groups of splits; those of validation and test get `nearest_train` and `to_mean` from train.

    Queries of cells without training vectors, and of train itself, keep None.
    """
    training: dict[Any, list[npt.NDArray[np.float16]]] = {}
    for group in groups.get("train", ()):
        for query in group:
            if query.vector is not None:
                training.setdefault(_written(query), []).append(query.vector)
    tables = {cell: np.stack(rows) for cell, rows in training.items()}
    return {
        split: [[_told(query, split, tables) for query in group] for group in own]
        for split, own in groups.items()
    }


def _written(query: Measured) -> tuple[str, tuple[int, ...]]:
    """Where a query's vector is written: kind of place, first and last layer."""
    return query.place or query.kind, tuple(query.fields["layers"])


def _told(query: Measured, split: str, tables: Mapping[Any, npt.NDArray[np.float16]]) -> Measured:
    table = tables.get(_written(query))
    if table is None or query.vector is None:
        return query
    mean = table.astype(np.float64).mean(axis=0)
    gap = float(np.linalg.norm(query.vector.astype(np.float64) - mean))
    told = None if query.distances is None else {**query.distances, "to_mean": gap}
    near = None if split == "train" else float(nearest(query.vector[None], table)[0])
    return replace(query, nearest_train=near, distances=told)
