"""Trying places until enough groups are kept: which kind is tried next, and which cell is full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from . import survey as reading
from . import trials
from .balance import CandidateGroup, Four, Probes, fit_probes
from .contrast import Selection
from .measure_patches import Bench, Cell, Patch
from .rules import Rows, Rules, cell_name
from .survey import Centre
from .trials import SplitSize

OUTCOME_CAP = 0.04  # largest share of one outcome among the queries of a split
PROBED = 50  # places of every kind that probes are fitted on
LEAST_PLACES = 80  # places of every kind before the more fruitful kinds are preferred
DRY = 100  # places a group that a cell must give to be tried on, where places are spared
CELL_CAP = 0.12  # largest share of groups from one cell, unless the others run out


@dataclass(slots=True, kw_only=True)
class Kept:
    """Groups of one part of a split (headline or disrupted), what was tried and what refused."""

    selection: Selection
    both: bool  # whether a group needs changed and unchanged answers
    size: SplitSize
    quota: int = 1  # groups that are kept of one cell, at most
    foreseen: Mapping[int, bool] = field(default_factory=dict)
    """Whether rules fitted on train guess the clean answer of each base, where they are known."""
    tried: dict[str, Counter[str]] = field(default_factory=dict)
    """Counts by cell: groups, patches screened, patches read, groups that could be chosen from,
    groups kept."""
    used: Counter[int] = field(default_factory=Counter)
    refused: list[tuple[int, CandidateGroup]] = field(default_factory=list)

    @property
    def groups(self) -> list[Four]:
        """Chosen groups."""
        return self.selection.groups

    def next_places(self, bench: Bench, queue: list[list[Patch]], n: int) -> list[list[Patch]]:
        """Take the next `n` places off a queue, or as many as there are."""
        found: list[list[Patch]] = []
        while queue and len(found) < n:
            place = queue.pop(0)
            if self.size.sparing:
                place = [patch for patch in place if self.wants(reading.name_of(patch.cell))]
            if place and self.may_give(bench, place[0].base):
                found.append(place)
        return found

    def wants(self, cell: str) -> bool:
        """Whether there is room for groups of a cell, and, if places are spared, hope."""
        dry = self.tried.get(cell, Counter())["groups"] >= DRY * (1 + self.selection.cells[cell])
        return self.selection.cells[cell] < self.quota and not (self.size.sparing and dry)

    def may_give(self, bench: Bench, base: int) -> bool:
        """Whether a base may still give a group; if places are not spared, nobody looks."""
        if not self.size.sparing or not self.both:
            return True
        answer, ruled = bench.clean[base].text, self.foreseen.get(base, False)
        return self.used[base] < self.size.uses and self.selection.open_to(answer, ruled)

    def measure(
        self, bench: Bench, places: Sequence[Sequence[Patch]], centres: Mapping[Cell, Centre]
    ) -> list[tuple[int, list[CandidateGroup]]]:
        """Measure places of one kind; return the base and the groups of each."""
        if not places:
            return []
        found, tried = reading.measured(bench, places, centres, both=self.both)
        for cell, counts in tried.items():
            self.tried.setdefault(cell, Counter()).update(counts)
        return [(place[0].base, groups) for place, groups in zip(places, found, strict=True)]

    def offer_all(self, found: Sequence[tuple[int, Sequence[CandidateGroup]]]) -> int:
        """Offer the groups of places; return how many were kept."""
        before = len(self.groups)
        for base, groups in found:
            for group in sorted(groups, key=lambda g: self.selection.cells[g.cell]):
                self.offer(base, group)
        return len(self.groups) - before

    def learn(
        self,
        bench: Bench,
        queues: Mapping[str, list[list[Patch]]],
        centres: Mapping[Cell, Centre],
    ) -> tuple[Probes | None, dict[str, list[int]]]:
        """Measure the first places of every kind, fit probes on them, and offer them.

        Return the probes, and how many groups each round of each kind gave.
        """
        rounds: dict[str, list[list[tuple[int, list[CandidateGroup]]]]] = {}
        for kind, queue in queues.items():
            sizes = [self.size.round] * -(-PROBED // self.size.round)
            taken = [self.next_places(bench, queue, n) for n in sizes]
            rounds[kind] = [self.measure(bench, places, centres) for places in taken]
        every = [g for own in rounds.values() for one in own for _, groups in one for g in groups]
        probes = fit_probes(every)
        gains: dict[str, list[int]] = {}
        for kind, own in rounds.items():
            gains[kind] = []
            for one in own:
                if probes is not None:
                    one = [(b, [_probed(g, probes) for g in groups]) for b, groups in one]
                gains[kind].append(self.offer_all(one))
        return probes, gains

    def offer(self, base: int, group: CandidateGroup) -> None:
        """Keep a group of a base if there is room; remember it if it is refused."""
        chosen = self.selection
        room = chosen.cells[group.cell] < self.quota and len(chosen.groups) < chosen.size
        offer = chosen.offer if self.both else chosen.offer_any
        if room and self.used[base] < self.size.uses and offer(group):
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
    kept = Kept(selection=selection, size=size, both=both, quota=quota)
    queues = trials.queues(bench, cells, size.tries, salt, size.more)
    centres = {c: reading.centre(bench, c, probes, rules) for c in cells if queues[c[0]]}
    names = {kind: [f"{k}/{block}" for k, block in cells if k == kind] for kind in queues}
    gains: dict[str, list[int]] = {kind: [] for kind in queues}
    if size.sparing and both and wanted:
        kept.foreseen = _foreseen(bench, rules)
        probes, gains = kept.learn(bench, queues, centres)
        centres = {c: reading.centre(bench, c, probes, rules) for c in centres}
    while len(kept.groups) < wanted and any(queues.values()):
        going = [
            kind
            for kind, queue in reversed(queues.items())
            if queue and any(map(kept.wants, names[kind]))
        ]
        if not going and kept.quota >= wanted:
            break  # what is left is dry
        if not going:
            kept.quota += max(1, kept.quota // 4)
            continue
        kind = max(going, key=lambda one: _worth(gains[one], size.round))
        now = kept.next_places(bench, queues[kind], size.round)
        gains[kind].append(kept.offer_all(kept.measure(bench, now, centres)))
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
        for start in range(0, min(len(queue), PROBED), size.round):
            few = queue[start : start + size.round]
            found, _ = reading.measured(bench, few, centres, both=True)
            groups += [group for own in found for group in own]
    return fit_probes(groups)


def _foreseen(bench: Bench, rules: Rules | None) -> dict[int, bool]:
    """Whether rules guess the clean answer of each usable base."""
    bases = trials.usable_bases(bench)
    if rules is None or not bases:
        return {}
    prompts = [bench.prompts[i].prompt for i in bases]
    rows = Rows(
        cells=[cell_name("", (0, 0))] * len(bases),
        relations=[prompt.fact.relation for prompt in prompts],
        texts=[prompt.text for prompt in prompts],
        vectors=np.zeros((len(bases), bench.target.d_model), dtype=np.float32),  # not looked at
    )
    return dict(zip(bases, rules.foreseen(rows, [bench.clean[i].text for i in bases]), strict=True))


def _probed(group: CandidateGroup, probes: Probes) -> CandidateGroup:
    return replace(group, probes=probes.of(group.cell))


def _worth(gains: Sequence[int], round_size: int) -> tuple[bool, float]:
    """Order of kinds by what their rounds gave.

    Kinds with few rounds come first, the poorest before the others, which need the same bases; then
    those whose last rounds gave most groups.
    """
    mean = float(np.mean(gains[-4:] or [0]))
    few = len(gains) * round_size < LEAST_PLACES
    return few, -mean if few else mean
