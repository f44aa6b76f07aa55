"""Draws pairs of a changed and an unchanged candidate within rations of answers. Pure.

Queries on which the first guess of a reader is right are rationed, and so is every single answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from .filter import BINS, Bools, Candidate, Floats, matched, told_by

GUESSED = {True: 0.12, False: 0.40}
"""Largest share of queries whose content the first guess hits, by whether the answer changes. Who
guesses so and tosses a coin for the verdict scores half the root of the product: 11."""

THINNED = 8  # bins in which later splits are matched on what regressions tell


@dataclass(slots=True, kw_only=True)
class Ration:
    """What one split may still take."""

    size: int  # queries drawn
    wanted: int  # queries that will be left of them; caps are shares of it
    per_question: int  # queries one question may give
    outcome_cap: float  # largest share of one outcome, of what is wanted
    outcomes: dict[str, int] = field(default_factory=dict)
    questions: dict[str, int] = field(default_factory=dict)
    guessed: dict[bool, int] = field(default_factory=dict)

    def fits(self, one: Candidate, hit: bool, *, after: Candidate | None = None) -> bool:
        """Whether a candidate may be taken, alone or after another one."""
        same = after is not None and after.outcome == one.outcome
        most = max(2, int(self.outcome_cap * self.wanted))
        return (
            self.questions.get(one.question, 0) < self.per_question
            and self.outcomes.get(one.outcome, 0) + same < most
            and (not hit or self.guessed.get(one.changed, 0) < self._most_guessed(one.changed))
        )

    def _most_guessed(self, changed: bool) -> int:
        return int(GUESSED[changed] * self.wanted / 2)

    def take(self, one: Candidate, hit: bool) -> None:
        """Count a candidate as taken."""
        self.questions[one.question] = self.questions.get(one.question, 0) + 1
        self.outcomes[one.outcome] = self.outcomes.get(one.outcome, 0) + 1
        self.guessed[one.changed] = self.guessed.get(one.changed, 0) + hit


def draw_in_turn(
    candidates: Sequence[Candidate], likely: Floats, hits: Bools, rations: Mapping[str, Ration]
) -> list[Candidate]:
    """What is drawn of the last split, after the splits before it.

    What is kept of train is what others will fit rules on: later splits are matched on what a
    regression on the split before tells, too.
    """
    drawn: list[Candidate] = []
    for name, ration in rations.items():
        own = np.array([i for i, c in enumerate(candidates) if c.split == name], dtype=np.int64)
        tells, part = likely[own], [candidates[i] for i in own]
        if drawn:
            kept = _thinned(part, tells)
            own, part = own[kept], [part[i] for i in kept]
            tells = told_by(drawn, part)
            kept = _thinned(part, tells)
            own, part, tells = own[kept], [part[i] for i in kept], tells[kept]
        drawn = draw(part, tells, hits[own], ration)
    return drawn


def _thinned(candidates: Sequence[Candidate], tells: Floats) -> npt.NDArray[np.int64]:
    """Rows of equally many changed and unchanged candidates in each bin of what is told."""
    changed = np.array([one.changed for one in candidates], dtype=np.bool_)
    n_bins = max(1, min(THINNED, len(candidates) // 16))
    return matched(tells, changed, n_bins, np.arange(len(candidates)))


def draw(
    candidates: Sequence[Candidate], likely: Floats, hits: Bools, ration: Ration
) -> list[Candidate]:
    """Pairs of a changed and an unchanged candidate of like probability, within a ration."""
    order = np.argsort(likely, kind="stable").tolist()
    n_bins = max(1, min(BINS, len(order) // 8))
    bins = [part.tolist() for part in np.array_split(np.array(order, dtype=np.int64), n_bins)]
    # scarce first: questions with few candidates, and contents that are not guessed
    offered: dict[str, int] = {}
    for one in candidates:
        offered[one.question] = offered.get(one.question, 0) + 1
    for part in bins:
        part.sort(key=lambda i: (hits[i], offered[candidates[i].question]))
    taken: list[Candidate] = []
    used: set[int] = set()
    going = True
    while going and len(taken) < ration.size:
        going = False
        for part in bins:
            if len(taken) >= ration.size:
                break
            pair = _pair(candidates, [i for i in part if i not in used], hits, ration)
            for i in pair:
                ration.take(candidates[i], bool(hits[i]))
                taken.append(candidates[i])
                used.add(i)
            going = going or bool(pair)
    return taken


def _pair(
    candidates: Sequence[Candidate], part: Sequence[int], hits: Bools, ration: Ration
) -> tuple[int, ...]:
    fitting = [i for i in part if ration.fits(candidates[i], bool(hits[i]))]
    for first in fitting:
        if candidates[first].changed:
            for second in fitting:
                other = candidates[second]
                if other.changed or other.question == candidates[first].question:
                    continue
                if ration.fits(other, bool(hits[second]), after=candidates[first]):
                    return first, second
    return ()
