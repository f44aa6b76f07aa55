"""Which four patches of a group are kept, so that no distance tells changed from unchanged.

Pure. Two of the four change the answer and two do not. Changed and unchanged members are kept alike
in every cell (kind and block) and over the split: at each rank of a distance or of a linear probe,
and on average.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from .balance import (
    GROUP_SIZE,
    STRICT,
    Candidate,
    CandidateGroup,
    Four,
    Fours,
    Tally,
    cost,
    four_of,
    fours,
    lean,
    overlap,
)

LEAN = 6.0
"""Largest lean of a cell in a strict distance: ranks of its changed members minus ranks of its
unchanged ones, summed; a group whose changed members are its two farthest adds 4."""
LEAN_ALL = 12.0  # the same over the split
RELATION_CAPS = {True: 0.10, False: 0.30}
"""Largest share of one answer among the changed and among the unchanged members of a relation,
beyond `FREE`: what a reader of the relation can guess."""
FREE = 4  # members that may have one answer whatever its share
GUESSES = 0.15
"""Largest share of changed members of a cell whose answer can be guessed without the vector."""
RULED = 0.18  # largest share of the unchanged members whose answer rules fitted on train guess


@dataclass(slots=True, kw_only=True)
class Selection:
    """Groups kept so far, with the running counts that steer the choice."""

    size: int  # number of groups wanted, for the cap
    outcome_cap: float  # largest share of one answer among the queries
    slack: float = 1.0  # by how much the bounds of leans are widened
    ruled_changed: float = 0.08
    """Largest share of the changed members whose answer rules fitted on train guess."""
    groups: list[Four] = field(default_factory=list)
    cells: Counter[str] = field(default_factory=Counter)  # groups kept per cell
    tallies: dict[str, Tally] = field(default_factory=dict)
    """By cell; the split's is under the empty string."""
    outcomes: Counter[str] = field(default_factory=Counter)  # queries per answer
    by_relation: Counter[tuple[str, bool, str]] = field(default_factory=Counter)
    """Members per relation, verdict and answer."""
    relations: Counter[str] = field(default_factory=Counter)  # groups per relation
    rejected: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Groups not kept, per cell and reason: no two and two, caps, balance."""
    guessed: Counter[str] = field(default_factory=Counter)
    """Changed members per cell whose answer can be guessed."""
    ruled: Counter[bool] = field(default_factory=Counter)
    """Members by verdict whose answer rules fitted on train guess."""
    sources: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Changed minus unchanged members per relation and source's answer."""

    def open_to(self, clean: str, ruled: bool) -> bool:
        """Whether two unchanged members with an answer are within the caps that only fill up.

        `ruled` is whether rules fitted on train guess it.
        """
        most = max(FREE, self.outcome_cap * self.size * GROUP_SIZE)
        full = ruled and self.ruled[False] + 2 > RULED * 2 * self.size
        return not full and self.outcomes[clean] + 2 <= most

    def offer(self, group: CandidateGroup) -> bool:
        """Keep the best four of a group, if four fit; say whether it was kept."""
        choices = fours(group)
        fit = [i for i, four in enumerate(choices.members) if self._allowed(group, four)]
        if not fit:
            self.rejected[group.cell, "caps" if choices.members else "no two and two"] += 1
            return False
        ranks, gaps = choices.ranks[fit], choices.gaps[fit]
        own, whole = self._tally(group.cell), self._tally("")
        total = cost(own.ranks + ranks, own.gaps + gaps)
        total += cost(whole.ranks + ranks, whole.gaps + gaps) / 8
        total += [self._source_cost(group, choices.members[i]) for i in fit]
        allowed = _keeps(own, ranks, self.slack * LEAN)
        allowed &= _keeps(whole, ranks, self.slack * LEAN_ALL)
        if not allowed.any():
            self.rejected[group.cell, "balance"] += 1
            return False
        best = int(np.where(allowed, total, np.inf).argmin())
        four = tuple(group.members[i] for i in choices.members[fit[best]])
        self._take(group, four)
        for tally in (own, whole):
            tally.ranks = tally.ranks + ranks[best]
            tally.gaps = tally.gaps + gaps[best]
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
        for verdict, share in ((True, self.ruled_changed), (False, RULED)):
            ruled = sum(m.ruled for m in members if m.changed == verdict)
            if ruled and self.ruled[verdict] + ruled > share * 2 * self.size:
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
        return float(
            sum((self.sources[k] + n) ** 2 - self.sources[k] ** 2 for k, n in more.items())
        )

    def _take(self, group: CandidateGroup, four: tuple[Candidate, ...]) -> None:
        self.groups.append((group, four))
        self.cells[group.cell] += 1
        self.relations[group.relation] += 1
        for member in four:
            self.outcomes[member.outcome] += 1
            self.by_relation[group.relation, member.changed, member.outcome] += 1
            self.guessed[group.cell] += member.changed and member.guessed
            self.ruled[member.changed] += member.ruled
            self.sources[group.relation, member.source] += 1 if member.changed else -1


def _keeps(tally: Tally, ranks: npt.NDArray[np.int64], limit: float) -> npt.NDArray[np.bool_]:
    """Whether each choice leaves every strict lean within a limit, or nearer to it."""
    before = np.abs(lean(tally.ranks)[:STRICT])
    after = np.abs(lean(tally.ranks + ranks)[:, :STRICT])
    return np.asarray(((after <= limit) | (after < before)).all(-1))


def trim(groups: Sequence[Four], size: int) -> list[Four]:
    """Leave out groups until `size` are left.

    Each time the one goes without which the rest is balanced best, of large cells rather.
    """
    kept = [(g, four, four_of(replace(g, members=four), [(0, 1, 2, 3)])) for g, four in groups]
    while len(kept) > size:
        cells = Counter(group.cell for group, _, _ in kept)
        tallies = {name: _tallied(kept, name) for name in ("", *cells)}
        gains = [
            2.0 * cells[group.cell]
            + _relief(tallies[group.cell], own)
            + _relief(tallies[""], own) / 8
            for group, _, own in kept
        ]
        del kept[int(np.argmax(gains))]
    return [(group, four) for group, four, _ in kept]


def _tallied(
    kept: Sequence[tuple[CandidateGroup, tuple[Candidate, ...], Fours]], cell: str
) -> Tally:
    own = [one for group, _, one in kept if cell in ("", group.cell)]
    return Tally(ranks=sum(one.ranks[0] for one in own), gaps=sum(one.gaps[0] for one in own))


def _relief(tally: Tally, own: Fours) -> float:
    """How much less unlike changed and unchanged members are without a group."""
    rest = cost(tally.ranks - own.ranks[0], tally.gaps - own.gaps[0])
    return float(cost(tally.ranks, tally.gaps)) - float(rest)
