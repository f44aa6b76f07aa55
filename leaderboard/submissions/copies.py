"""Copied replies, and re-runs that only ever gained: found by comparing entries, shown as labels.

Owns the two comparisons and their words. A label accuses nobody: equal replies also come from equal
weights, and a better explainer may well lose nothing. It says what was seen, with the number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

COPY_SHARE = 0.995
"""Share of identical replies above which an entry is labelled a copy."""
MIN_COMMON = 20
"""Fewest common queries that are compared."""
MIN_GAINS = 5
"""Fewest queries that a re-run must have turned right before 'none turned wrong' is a pattern: by
chance alone, with equal odds, 1 in 2**5."""
MIN_KEPT = 20
"""Fewest right answers that it must have kept: where few were right before, few could turn wrong.
If one in five answers changed by chance, 20 would all stay in 1 of 87 re-runs."""

ABSENT = -1
"""Stands, among numbers, for a reply that is not there."""

Key = tuple[str, str]
"""Task and query id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replies:
    """What one entry said, as far as comparing needs it."""

    id: str
    """Id of the entry."""
    org: str
    """Its organisation."""
    date: str
    """Its day; of two entries the later one is labelled."""
    raw: Mapping[Key, str]
    """Raw replies by task and query id."""
    right: Mapping[Key, bool]
    """Whether each reply is exactly right; only tasks for which that is a yes or no."""
    baseline: bool
    """Whether it is a baseline or oracle of the benchmark itself: never labelled, nor what an
    additive re-run is one of."""
    weights: frozenset[str] = frozenset()
    """Hashes of its weights, as its run files declare them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What was seen of an entry beside an earlier one."""

    entry: str
    """Id of the entry that is labelled."""
    other: str
    """Id of the earlier one."""
    kind: str
    """`copy` or `additive`."""
    text: str
    """For the page, a sentence."""
    share: float
    """Of a copy: identical replies among common queries. Of an additive re-run: 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Coded:
    """Replies as numbers, one a query of any entry, so that many pairs are quickly compared."""

    raw: npt.NDArray[np.int64]
    """Number of the reply's text; `ABSENT` without a reply."""
    right: npt.NDArray[np.int64]
    """0 or 1; `ABSENT` where that is no question."""


def identical_share(a: Replies, b: Replies) -> tuple[float, int]:
    """Return the share of common queries with the same raw reply, and how many are common.

    The share of nothing is 0.
    """
    return _share(*_coded([a, b]))


def flips(earlier: Replies, later: Replies) -> tuple[int, int]:
    """Return how many common queries turned from wrong to right, and from right to wrong."""
    gained, lost, _kept = _flips(*_coded([earlier, later]))
    return gained, lost


def find_labels(entries: Sequence[Replies]) -> list[Label]:
    """Compare every pair of entries and label the later one, in the order of dates and ids."""
    ordered = sorted(entries, key=lambda one: (one.date, one.id))
    coded = _coded(ordered)
    labels = []
    for place, later in enumerate(ordered):
        if later.baseline:
            continue
        for earlier, code in zip(ordered[:place], coded[:place], strict=True):
            labels += _labels(earlier, later, code, coded[place])
    return labels


def _coded(entries: Sequence[Replies]) -> list[_Coded]:
    places: dict[Key, int] = {}
    texts: dict[str, int] = {}
    for one in entries:
        for key in (*one.raw, *one.right):
            places.setdefault(key, len(places))
    found = []
    for one in entries:
        raw, right = (np.full(len(places), ABSENT, dtype=np.int64) for _ in range(2))
        for key, text in one.raw.items():
            raw[places[key]] = texts.setdefault(text, len(texts))
        for key, is_right in one.right.items():
            right[places[key]] = is_right
        found.append(_Coded(raw=raw, right=right))
    return found


def _share(a: _Coded, b: _Coded) -> tuple[float, int]:
    common = (a.raw != ABSENT) & (b.raw != ABSENT)
    n = int(common.sum())
    return (int(((a.raw == b.raw) & common).sum()) / n if n else 0.0), n


def _flips(earlier: _Coded, later: _Coded) -> tuple[int, int, int]:
    """Queries turned right, turned wrong, and right in both."""
    gained = (earlier.right == 0) & (later.right == 1)
    lost = (earlier.right == 1) & (later.right == 0)
    kept = (earlier.right == 1) & (later.right == 1)
    return int(gained.sum()), int(lost.sum()), int(kept.sum())


def _labels(earlier: Replies, later: Replies, before: _Coded, after: _Coded) -> list[Label]:
    found = []
    share, n = _share(before, after)
    if n >= MIN_COMMON and share > COPY_SHARE:
        same = " (the same weights)" if earlier.weights & later.weights else ""
        text = f"{share:.1%} of {n} replies are those of {earlier.id}{same}"
        found.append(_label(earlier, later, "copy", text, share))
    gained, lost, kept = _flips(before, after)
    rerun = earlier.org == later.org and not earlier.baseline
    if rerun and lost == 0 and gained >= MIN_GAINS and kept >= MIN_KEPT:
        text = f"{gained} answers more are right than in {earlier.id}, and none turned wrong"
        found.append(_label(earlier, later, "additive", text, 0.0))
    return found


def _label(earlier: Replies, later: Replies, kind: str, text: str, share: float) -> Label:
    return Label(entry=later.id, other=earlier.id, kind=kind, text=text, share=share)
