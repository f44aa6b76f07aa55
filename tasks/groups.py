"""Contrast groups: which four candidates of a group are frozen, and which groups.

Pure. A reader who sees only what the members share can do no better than one answer for all four;
the choice here keeps that ceiling low, keeps changed and unchanged near balance, and lets no answer
become common.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

GROUP_SIZE = 4
"""Members of a contrast group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One measured query that might be frozen."""

    clean: str
    """Output without the intervention."""
    outcome: str
    """Output with it."""
    payload: Any
    """Whatever the caller needs to write the query; not looked at here."""

    @property
    def changed(self) -> bool:
        """Whether the two outputs differ."""
        return self.clean != self.outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateGroup:
    """Measured candidates that share everything but the vector or the removed span."""

    cell: str
    """Kind (and block); groups are taken from cells in turn."""
    members: tuple[Candidate, ...]
    """At least four for the group to be usable."""


@dataclass(slots=True, kw_only=True)
class Selection:
    """Groups taken so far, with the running counts that steer the choice."""

    size: int
    """Number of groups wanted."""
    outcome_cap: float
    """Largest share of one answer text among outcomes."""
    cap_size: int | None = None
    """Number of groups the cap is a share of, if not `size`: fewer when some groups are spare."""
    changed_range: tuple[float, float] = (0.48, 0.52)
    """The running share of changed queries is steered back into this range."""
    changed_limits: tuple[float, float] = (0.42, 0.58)
    """A group that takes the running share out of these limits, or further out, is not taken."""
    groups: list[tuple[Candidate, ...]] = field(default_factory=list)
    """Chosen groups of four."""
    cells: Counter[str] = field(default_factory=Counter)
    """Groups taken per cell."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """Queries per outcome text."""
    n_changed: int = 0
    """Changed queries so far."""

    def offer(self, group: CandidateGroup) -> bool:
        """Take the best four of a group if it has four that fit; say whether it was taken."""
        usable = [m for m in group.members if self.outcomes[m.outcome] < self._limit]
        best: tuple[tuple[float, ...], tuple[Candidate, ...]] | None = None
        for four in combinations(usable, GROUP_SIZE):
            answers = Counter((m.changed, m.outcome) for m in four)
            if len(answers) < 2 or any(
                self.outcomes[text] + n > self._limit
                for text, n in Counter(m.outcome for m in four).items()
            ):
                continue
            cost = self._cost(four, answers)
            if best is None or cost < best[0]:
                best = (cost, four)
        if best is None or self._unbalances(best[1]):
            return False
        self.groups.append(best[1])
        self.cells[group.cell] += 1
        self.outcomes.update(m.outcome for m in best[1])
        self.n_changed += sum(m.changed for m in best[1])
        return True

    def _unbalances(self, four: Sequence[Candidate]) -> bool:
        before = GROUP_SIZE * len(self.groups)
        share = (self.n_changed + sum(m.changed for m in four)) / (before + GROUP_SIZE)
        low, high = self.changed_limits
        if low <= share <= high or before == 0:
            return False
        return abs(share - 0.5) >= abs(self.n_changed / before - 0.5)

    @property
    def _limit(self) -> int:
        return int(self.outcome_cap * (self.cap_size or self.size) * GROUP_SIZE)

    def _cost(
        self, four: Sequence[Candidate], answers: Counter[tuple[bool, str]]
    ) -> tuple[float, ...]:
        changed = sum(m.changed for m in four)
        total = GROUP_SIZE * (len(self.groups) + 1)
        share = (self.n_changed + changed) / total
        low, high = self.changed_range
        off_balance = max(low - share, share - high, 0.0)
        return (
            round(off_balance * total),
            max(answers.values()) / GROUP_SIZE,
            sum(self.outcomes[m.outcome] for m in four),
        )


def select(groups: Iterable[CandidateGroup], selection: Selection) -> Selection:
    """Take groups from their cells in turn until enough are taken or none is left."""
    queues: dict[str, list[CandidateGroup]] = {}
    for group in groups:
        queues.setdefault(group.cell, []).append(group)
    while queues and len(selection.groups) < selection.size:
        for cell in sorted(queues):
            while queues[cell] and len(selection.groups) < selection.size:
                if selection.offer(queues[cell].pop(0)):
                    break
            if not queues[cell]:
                del queues[cell]
    return selection
