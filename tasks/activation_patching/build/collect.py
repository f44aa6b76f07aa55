"""Trying places until enough groups are kept: which kind is tried next, and which cell is full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from . import survey as reading
from . import trials
from .balance import CandidateGroup, Four, Probes, fit_probes
from .contrast import Selection
from .measure_patches import Bench, Cell, Patch
from .rules import Rules
from .survey import Centre
from .trials import SplitSize

OUTCOME_CAP = 0.04  # largest share of one outcome among the queries of a split
ROUND = 10  # places of one kind tried in one round
PROBED = 5  # rounds of every kind of train that probes are fitted on
LEAST_ROUNDS = 8  # rounds of every kind before the more fruitful kinds are preferred
CELL_CAP = 0.12  # largest share of groups from one cell, unless the others run out


@dataclass(slots=True, kw_only=True)
class Kept:
    """Groups of one part of a split (headline or disrupted), what was tried and what refused."""

    selection: Selection
    uses: int  # groups that are kept of one base, at most
    both: bool  # whether a group needs changed and unchanged answers
    quota: int = 1  # groups that are kept of one cell, at most
    tried: dict[str, Counter[str]] = field(default_factory=dict)
    """Counts by cell: groups, patches screened, patches read, groups that could be chosen from,
    groups kept."""
    used: Counter[int] = field(default_factory=Counter)
    refused: list[tuple[int, CandidateGroup]] = field(default_factory=list)

    @property
    def groups(self) -> list[Four]:
        """Chosen groups."""
        return self.selection.groups

    def try_places(
        self, bench: Bench, places: Sequence[Sequence[Patch]], centres: Mapping[Cell, Centre]
    ) -> int:
        """Measure places of one kind; return how many groups of theirs were kept."""
        found, tried = reading.measured(bench, places, centres, both=self.both)
        for cell, counts in tried.items():
            self.tried.setdefault(cell, Counter()).update(counts)
        before = len(self.groups)
        for place, groups in zip(places, found, strict=True):
            for group in sorted(groups, key=lambda g: self.selection.cells[g.cell]):
                self.offer(place[0].base, group)
        return len(self.groups) - before

    def offer(self, base: int, group: CandidateGroup) -> None:
        """Keep a group of a base if there is room; remember it if it is refused."""
        chosen = self.selection
        room = chosen.cells[group.cell] < self.quota and len(chosen.groups) < chosen.size
        offer = chosen.offer if self.both else chosen.offer_any
        if room and self.used[base] < self.uses and offer(group):
            self.used[base] += 1
            self.tried[group.cell]["groups_kept"] += 1
        else:
            self.refused.append((base, group))

    def offer_again(self) -> None:
        """Offer what was refused while that helps: what is kept meanwhile may balance it."""
        self.quota, before = self.selection.size, -1
        while before < len(self.groups) < self.selection.size:
            before, again = len(self.groups), self.refused
            self.refused = []
            for base, group in again:
                self.offer(base, group)


def collect(
    bench: Bench,
    cells: Sequence[Cell],
    wanted: int,
    size: SplitSize,
    salt: str,
    *,
    probes: Probes | None = None,
    rules: Rules | None = None,
    both: bool = True,
) -> Kept:
    """Try places of all kinds until enough groups are kept or none is left.

    Kinds of which many places give a group are preferred, within the cap of a cell. Disrupted cells
    (`both` is false) need not show changed and unchanged answers.
    """
    selection = Selection(
        size=wanted, outcome_cap=OUTCOME_CAP, slack=size.slack, ruled_changed=size.ruled_changed
    )
    quota = max(1, int(CELL_CAP * wanted))
    kept = Kept(selection=selection, uses=size.uses, both=both, quota=quota)
    queues = trials.queues(bench, cells, size.tries, salt, size.more)
    centres = {c: reading.centre(bench, c, probes, rules) for c in cells if queues[c[0]]}
    names = {kind: [f"{k}/{block}" for k, block in cells if k == kind] for kind in queues}
    gains: dict[str, list[int]] = {kind: [] for kind in queues}
    while len(kept.groups) < wanted and any(queues.values()):
        going = [
            kind
            for kind, queue in reversed(queues.items())
            if queue and any(selection.cells[name] < kept.quota for name in names[kind])
        ]
        if not going:
            kept.quota += max(1, kept.quota // 4)
            continue
        kind = max(going, key=lambda one: _worth(gains[one]))
        now, queues[kind] = queues[kind][:ROUND], queues[kind][ROUND:]
        gains[kind].append(kept.try_places(bench, now, centres))
        bench.report(f"groups chosen: {len(kept.groups)} of {wanted}", 0)
    kept.offer_again()
    bench.report(f"groups chosen: {len(kept.groups)} of {wanted}", 0)
    for (cell, reason), n in sorted(selection.rejected.items()):
        kept.tried[cell][f"rejected: {reason}"] = n
    return kept


def fit(bench: Bench, cells: Sequence[Cell], size: SplitSize, salt: str) -> Probes | None:
    """Fit probes on the first places of every kind; of train, where they are wanted anyhow."""
    queues = trials.queues(bench, cells, size.tries, salt)
    centres = {cell: reading.centre(bench, cell, None) for cell in cells if queues[cell[0]]}
    groups: list[CandidateGroup] = []
    for queue in queues.values():
        for start in range(0, min(len(queue), PROBED * ROUND), ROUND):
            found, _ = reading.measured(bench, queue[start : start + ROUND], centres, both=True)
            groups += [group for own in found for group in own]
    return fit_probes(groups)


def _worth(gains: Sequence[int]) -> tuple[bool, float]:
    """Order of kinds by what their rounds gave.

    Kinds with few rounds come first, the poorest before the others, which need the same bases; then
    those whose last rounds gave most groups.
    """
    mean = float(np.mean(gains[-4:] or [0]))
    few = len(gains) < LEAST_ROUNDS
    return few, -mean if few else mean
