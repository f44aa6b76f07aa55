"""Which of four parts the answer rests on: candidates, and a choice that the text does not tell.

Pure. A regression over the parts, fitted on other questions, ranks the four of every text; equally
many queries are kept whose active part comes first, second, third and fourth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...facts.prompts import rank
from .filter import Bools, Floats, cross_fitted, fitted, folds_of

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
