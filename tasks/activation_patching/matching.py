"""Which four patches of a group are kept, so that no distance tells changed from unchanged.

Pure. Two of the four change the answer and two do not. The members are ranked by each distance;
what is kept balanced, in every cell (kind and block) and over the split, is how many changed and
unchanged members stand at each rank, and how far apart the two are on average. The means of changed
and of unchanged vectors are kept near each other too, or a linear probe would tell the verdict.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from introspect_bench.benchmark.metrics import normalise_content

GROUP_SIZE = 4
"""Members of a group."""
DISTANCES = ("to_original", "to_group_mean", "norm", "to_mean")
"""Euclidean: from the activation that stood there; from the mean of the group's four vectors; the
vector's length; from the mean vector of the cell."""
STRICT = 2
"""The first two of `DISTANCES` must stay balanced; the others are balanced where it costs nothing.
"""
LEAN = 2.0
"""Largest lean of a cell in a strict distance: ranks of its changed members minus ranks of its
unchanged ones, summed; a group whose changed members are its two farthest adds 4."""
LEAN_ALL = 8.0
"""The same over the split."""
WEIGHTS = np.array([3.0, 3.0, 1.0, 1.0])
"""How much each distance counts in the choice."""
PROBE = 2.0
"""How much the sum of changed minus unchanged vectors counts in the choice."""
RELATION_CAPS = {True: 0.10, False: 0.30}
"""Largest share of one answer among the changed and among the unchanged members of a relation,
beyond `FREE`: what a reader of the relation can guess."""
FREE = 4
"""Members that may have one answer whatever its share."""
GUESSES = 0.10
"""Largest share of changed members of a cell whose answer can be guessed without the vector."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One measured patch that might be kept."""

    changed: bool
    """Whether the answer changed."""
    outcome: str
    """Answer after the patch."""
    source: str
    """The source prompt's own answer."""
    guessed: bool
    """Whether the text alone or a clean run of it suggests the answer."""
    vector: npt.NDArray[np.float32]
    """What was written, shape (d,)."""
    payload: Any
    """Whatever the caller needs to write the query."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateGroup:
    """Patches of one text at one place and block."""

    cell: str
    """Kind and block."""
    relation: str
    """Relation of the base prompt."""
    original: npt.NDArray[np.float32]
    """Block mean of the activation that stood there, shape (d,)."""
    mean: npt.NDArray[np.float32]
    """Mean vector of the cell, shape (d,)."""
    spread: float
    """Typical distance in the cell, to make gaps comparable."""
    members: tuple[Candidate, ...]
    """Candidates."""


def overlap(one: str, other: str) -> bool:
    """Whether one of two answers is the other or contains it, normalised and case-folded."""
    a, b = normalise_content(one).casefold(), normalise_content(other).casefold()
    return a in b or b in a


def distances(
    vectors: npt.NDArray[np.float32],
    original: npt.NDArray[np.float32],
    mean: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    """`DISTANCES` of groups of vectors (..., 4, d): float32 (..., 4 distances, 4 members)."""
    own = vectors.mean(axis=-2, keepdims=True)
    norm = np.linalg.norm
    return np.stack(
        [
            norm(vectors - original, axis=-1),
            norm(vectors - own, axis=-1),
            norm(vectors, axis=-1),
            norm(vectors - mean, axis=-1),
        ],
        axis=-2,
    )


@dataclass(slots=True)
class Tally:
    """How unlike changed and unchanged members of some groups are, by distance."""

    ranks: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.zeros((len(DISTANCES), GROUP_SIZE), np.int64)
    )
    """Changed minus unchanged members at each rank, nearest first."""
    gaps: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(DISTANCES)))
    """Sum over groups of the mean distance of changed minus that of unchanged, in spreads."""

    drift: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(1))
    """Sum of changed minus sum of unchanged vectors, in spreads, shape (d,): what a linear probe
    would learn."""

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


def cost(
    ranks: npt.NDArray[np.int64], gaps: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Weighted squares of counts at ranks, of leans and of gaps; any leading shape."""
    squares = (ranks**2).sum(-1) + lean(ranks) ** 2 + 4 * gaps**2
    total: npt.NDArray[np.float64] = (squares * WEIGHTS).sum(-1)
    return total


@dataclass(slots=True, kw_only=True)
class Fours:
    """Every choice of four from a group, with what it would add to a tally."""

    members: list[tuple[int, ...]]
    """Indices; changed members first."""
    ranks: npt.NDArray[np.int64]
    """(choices, distances, ranks)."""
    gaps: npt.NDArray[np.float64]
    """(choices, distances)."""
    drift: npt.NDArray[np.float64]
    """(choices, d)."""


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
    return _measured(group, chosen)


def _measured(group: CandidateGroup, chosen: list[tuple[int, ...]]) -> Fours:
    if not chosen:
        return Fours(
            members=[],
            ranks=np.zeros((0, len(DISTANCES), GROUP_SIZE), np.int64),
            gaps=np.zeros((0, len(DISTANCES))),
            drift=np.zeros((0, len(group.mean))),
        )
    vectors = np.stack([m.vector for m in group.members])[np.array(chosen)]
    found = distances(vectors, group.original, group.mean)
    sign = np.array([1, 1, -1, -1])
    order = np.argsort(found, axis=-1, kind="stable")
    return Fours(
        members=chosen,
        ranks=sign[order],
        gaps=(found * sign).sum(-1).astype(np.float64) / 2 / group.spread,
        drift=(vectors * sign[:, None]).sum(1).astype(np.float64) / group.spread,
    )


@dataclass(slots=True, kw_only=True)
class Selection:
    """Groups kept so far, with the running counts that steer the choice."""

    size: int
    """Number of groups wanted, for the cap."""
    outcome_cap: float
    """Largest share of one answer among the queries."""
    groups: list[tuple[CandidateGroup, tuple[Candidate, ...]]] = field(default_factory=list)
    """What was kept."""
    cells: Counter[str] = field(default_factory=Counter)
    """Groups kept per cell."""
    tallies: dict[str, Tally] = field(default_factory=dict)
    """By cell; the split's is under the empty string."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """Queries per answer."""
    by_relation: Counter[tuple[str, bool, str]] = field(default_factory=Counter)
    """Members per relation, verdict and answer."""
    relations: Counter[str] = field(default_factory=Counter)
    """Groups per relation."""
    rejected: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Groups not kept, per cell and reason: no two and two, caps, balance."""
    guessed: Counter[str] = field(default_factory=Counter)
    """Changed members per cell whose answer can be guessed."""
    sources: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Changed minus unchanged members per relation and source's answer."""

    def offer(self, group: CandidateGroup) -> bool:
        """Keep the best four of a group, if four fit; say whether it was kept."""
        choices = fours(group)
        fit = [i for i, four in enumerate(choices.members) if self._allowed(group, four)]
        if not fit:
            self.rejected[group.cell, "caps" if choices.members else "no two and two"] += 1
            return False
        ranks, gaps, drift = choices.ranks[fit], choices.gaps[fit], choices.drift[fit]
        own, whole = self._tally(group.cell), self._tally("")
        total = cost(own.ranks + ranks, own.gaps + gaps)
        total += cost(whole.ranks + ranks, whole.gaps + gaps) / 8
        for tally, weight in ((own, PROBE), (whole, PROBE / 2)):
            total += weight * ((drift + tally.drift) ** 2 - tally.drift**2).sum(-1)
        total += [self._source_cost(group, choices.members[i]) for i in fit]
        allowed = _keeps(own, ranks, LEAN) & _keeps(whole, ranks, LEAN_ALL)
        if not allowed.any():
            self.rejected[group.cell, "balance"] += 1
            return False
        best = int(np.where(allowed, total, np.inf).argmin())
        four = tuple(group.members[i] for i in choices.members[fit[best]])
        self._take(group, four)
        for tally in (own, whole):
            tally.ranks = tally.ranks + ranks[best]
            tally.gaps = tally.gaps + gaps[best]
            tally.drift = tally.drift + drift[best]
        return True

    def offer_any(self, group: CandidateGroup) -> bool:
        """Keep four members whose answers do not overlap, changed or not; for disrupted places."""
        four: list[Candidate] = []
        for member in group.members:
            if not any(overlap(member.outcome, other.outcome) for other in four):
                four.append(member)
        if len(four) < GROUP_SIZE:
            return False
        self.groups.append((group, tuple(four[:GROUP_SIZE])))
        self.cells[group.cell] += 1
        return True

    def _tally(self, cell: str) -> Tally:
        return self.tallies.setdefault(cell, Tally())

    def _allowed(self, group: CandidateGroup, four: Sequence[int]) -> bool:
        """Whether the caps leave room for these members."""
        members = [group.members[i] for i in four]
        guessed = sum(m.changed and m.guessed for m in members)
        room = 1 + GUESSES * 2 * (self.cells[group.cell] + 1)
        if guessed and self.guessed[group.cell] + guessed > room:
            return False
        texts = Counter(m.outcome for m in members)
        if any(
            self.outcomes[text] + more > max(FREE, self.outcome_cap * self.size * GROUP_SIZE)
            for text, more in texts.items()
        ):
            return False
        n = 2 * (self.relations[group.relation] + 1)
        own = Counter((group.relation, m.changed, m.outcome) for m in members)
        return all(
            self.by_relation[key] + more <= FREE + RELATION_CAPS[key[1]] * n
            for key, more in own.items()
        )

    def _source_cost(self, group: CandidateGroup, four: Sequence[int]) -> float:
        """What sources' answers would tell of the verdict, within the relation."""
        more: Counter[tuple[str, str]] = Counter()
        for i in four:
            member = group.members[i]
            more[group.relation, member.source] += 1 if member.changed else -1
        return float(sum((self.sources[k] + n) ** 2 - self.sources[k] ** 2 for k, n in more.items()))

    def _take(self, group: CandidateGroup, four: tuple[Candidate, ...]) -> None:
        self.groups.append((group, four))
        self.cells[group.cell] += 1
        self.relations[group.relation] += 1
        for member in four:
            self.outcomes[member.outcome] += 1
            self.by_relation[group.relation, member.changed, member.outcome] += 1
            self.guessed[group.cell] += member.changed and member.guessed
            self.sources[group.relation, member.source] += 1 if member.changed else -1


def _keeps(tally: Tally, ranks: npt.NDArray[np.int64], limit: float) -> npt.NDArray[np.bool_]:
    """Whether each choice leaves every strict lean within a limit, or nearer to it."""
    before = np.abs(tally.leans[:STRICT])
    after = np.abs(lean(tally.ranks + ranks)[:, :STRICT])
    kept: npt.NDArray[np.bool_] = ((after <= limit) | (after < before)).all(-1)
    return kept


def trim(
    groups: Sequence[tuple[CandidateGroup, tuple[Candidate, ...]]], size: int
) -> list[tuple[CandidateGroup, tuple[Candidate, ...]]]:
    """Leave out groups, one by one, until `size` are left: each time the one without which the
    rest is balanced best.
    """
    kept = list(groups)
    found = [_measured(replace(g, members=four), [(0, 1, 2, 3)]) for g, four in kept]
    ranks = [f.ranks[0] for f in found]
    gaps = [f.gaps[0] for f in found]
    while len(kept) > size:
        tallies: dict[str, Tally] = {}
        for (group, _), rank, gap in zip(kept, ranks, gaps, strict=True):
            for name in (group.cell, ""):
                tally = tallies.setdefault(name, Tally())
                tally.ranks, tally.gaps = tally.ranks + rank, tally.gaps + gap
        cells = Counter(group.cell for group, _ in kept)

        def gain(i: int) -> float:
            total = 2.0 * cells[kept[i][0].cell]  # large cells first
            for name, weight in ((kept[i][0].cell, 1.0), ("", 1 / 8)):
                tally = tallies[name]
                rest = cost(tally.ranks - ranks[i], tally.gaps - gaps[i])
                total += weight * (tally.cost() - float(rest))
            return total

        worst = max(range(len(kept)), key=gain)
        for listed in (kept, ranks, gaps):
            del listed[worst]
    return kept
