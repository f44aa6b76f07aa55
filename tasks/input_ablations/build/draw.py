"""Which candidates are kept, so that the text does not tell the truth. Pure.

With one removable part, pairs of a changed and an unchanged candidate are drawn within rations of
answers: queries on which the first guess of a reader is right are rationed, and so is every single
answer. With four parts, a regression over the parts, fitted on other questions, ranks the four of
every text; equally many queries are kept whose active part comes first, second, third and fourth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ...facts.facts import rank
from .filter import BINS, Bools, Candidate, Floats, cross_fitted, fitted, folds_of, matched, told_by

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
    outcomes: Counter[str] = field(default_factory=Counter)
    questions: Counter[str] = field(default_factory=Counter)
    guessed: Counter[bool] = field(default_factory=Counter)

    def fits(self, one: Candidate, hit: bool, *, after: Candidate | None = None) -> bool:
        """Whether a candidate may be taken, alone or after another one."""
        same = after is not None and after.outcome == one.outcome
        most = max(2, int(self.outcome_cap * self.wanted))
        return (
            self.questions[one.question] < self.per_question
            and self.outcomes[one.outcome] + same < most
            and (not hit or self.guessed[one.changed] < int(GUESSED[one.changed] * self.wanted / 2))
        )

    def take(self, one: Candidate, hit: bool) -> None:
        """Count a candidate as taken."""
        self.questions[one.question] += 1
        self.outcomes[one.outcome] += 1
        self.guessed[one.changed] += hit


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
    offered = Counter(one.question for one in candidates)
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


LETTERS = "ABCD"  # what the parts are called
RANK_CAP = 0.32
"""Largest share, among lists and among sources, of active parts with one place in the ranking."""
SHARE_CAP = 0.30  # largest share of one role or one position among active parts, of the same


@dataclass(frozen=True, slots=True, kw_only=True)
class FourCandidate:
    """A measured text of which exactly one part is active."""

    split: str
    question: str  # base text
    relation: str  # relation of the fact asked for
    parts: tuple[tuple[str, str], ...]
    """(role, named answer) of each part, in the order of the text."""
    known: tuple[str, ...]
    """Answers a reader may compare with: of the demonstration, and the true one."""
    active: int  # index of the part whose removal changes the answer
    payload: Any  # whatever the caller needs to write the query

    @property
    def cell(self) -> tuple[str, bool]:
        """Split, and whether the parts are of one role: what is balanced apart."""
        return self.split, len({role for role, _ in self.parts}) == 1


def labels_for(text: str) -> str:
    """The four letters in an order that is a hash of the text."""
    return "".join(sorted(LETTERS, key=lambda letter: rank("label", text, letter)))


def ranks_of(candidates: Sequence[FourCandidate]) -> list[int]:
    """Place, 0 to 3, of each active part among its four by a regression on other questions."""
    folds = np.repeat(folds_of([one.question for one in candidates]), 4)
    return _places(candidates, cross_fitted(_hashed(candidates), _active(candidates), folds))


def ranks_by(known: Sequence[FourCandidate], others: Sequence[FourCandidate]) -> list[int]:
    """The same for other candidates by a regression on known ones."""
    return _places(others, fitted(_hashed(known), _active(known), _hashed(others)))


def _places(candidates: Sequence[FourCandidate], scores: Floats) -> list[int]:
    rows = scores.reshape(-1, 4)
    return [int((row > row[one.active]).sum()) for row, one in zip(rows, candidates, strict=True)]


def _active(candidates: Sequence[FourCandidate]) -> Bools:
    return np.array([place == one.active for one in candidates for place in range(4)])


def _hashed(candidates: Sequence[FourCandidate]) -> Any:
    from sklearn.feature_extraction import FeatureHasher

    rows = [_features(one, place) for one in candidates for place in range(4)]
    return FeatureHasher(n_features=2**15, input_type="string").transform(rows)


def _features(one: FourCandidate, place: int) -> list[str]:
    role, named = one.parts[place]
    shown, true = one.known
    marks = [f"role={role}", f"place={place}", f"role={role}:{place}", f"named={named}"]
    marks += [f"{mark}:{one.relation}" for mark in marks[:2]]
    marks += ["is-shown"] * (named == shown) + ["is-true"] * (named == true)
    marks += [f"before={other}" for other, _ in one.parts[:place]]
    return [*marks, "is-true:" + role] if named == true else marks


def choose(
    candidates: Sequence[FourCandidate],
    split: str,
    size: int,
    per_question: int,
    known: Sequence[FourCandidate] = (),
) -> list[FourCandidate]:
    """Up to `size` queries of one split, balanced over ranks, role and position."""
    first = ranks_of(candidates)
    second = ranks_by(known, candidates) if known else [0] * len(candidates)
    kept: list[FourCandidate] = []
    for listed in (True, False):
        own = [i for i, one in enumerate(candidates) if one.cell == (split, listed)]
        places = [(first[i], second[i]) for i in own]
        kept += _balanced([candidates[i] for i in own], places, per_question)
    return sorted(kept, key=lambda one: rank("chosen", one.question, str(one.active)))[:size]


def _balanced(
    candidates: Sequence[FourCandidate], places: Sequence[tuple[int, int]], per_question: int
) -> list[FourCandidate]:
    """The largest choice, found greedily from the scarcest cells, that keeps every cap."""
    cells = Counter(zip(places, (c.active for c in candidates), strict=True))

    def scarce(i: int) -> tuple[int, int]:
        one = candidates[i]
        return cells[places[i], one.active], rank(one.question, str(i))

    order = sorted(range(len(candidates)), key=scarce)
    for size in range(len(candidates), 0, -max(1, len(candidates) // 60)):
        chosen = _take(candidates, places, order, size, per_question)
        if len(chosen) >= size:
            return [candidates[i] for i in chosen]
    return []


def _take(
    candidates: Sequence[FourCandidate],
    places: Sequence[tuple[int, int]],
    order: Sequence[int],
    size: int,
    per_question: int,
) -> list[int]:
    counts: Counter[tuple[str, Any]] = Counter()
    chosen: list[int] = []
    twice = len({second for _, second in places}) > 1
    for i in order:
        one = candidates[i]
        role = (one.parts[one.active][0], one.active if one.cell[1] else -1)
        caps = {
            ("rank", places[i][0]): max(1.0, RANK_CAP * size),
            ("role", role): max(1.0, SHARE_CAP * size),
            ("place", one.active): max(1.0, SHARE_CAP * size),
            ("question", one.question): per_question,
        }
        if twice:
            caps["second rank", places[i][1]] = max(1.0, RANK_CAP * size)
        if len(chosen) < size and all(counts[key] + 1 <= cap for key, cap in caps.items()):
            counts.update(caps.keys())
            chosen.append(i)
    return chosen
