"""Copied replies, and re-runs that only ever gained: found by comparing entries, shown as labels.

Owns the two comparisons and their words. A label accuses nobody: equal replies also come from equal
weights, and a better explainer may well lose nothing. It says what was seen, with the number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

COPY_SHARE = 0.995
"""Share of identical replies above which an entry is labelled a copy."""
MIN_COMMON = 20
"""Fewest common queries that are compared."""
MIN_GAINS = 5
"""Fewest queries that a re-run must have turned right before 'none turned wrong' is a pattern: by
chance alone, with equal odds, 1 in 2**5."""

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
    """Whether it is a baseline or oracle of the benchmark itself: never labelled."""
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


def identical_share(a: Replies, b: Replies) -> tuple[float, int]:
    """Return the share of common queries with the same raw reply, and how many are common.

    The share of nothing is 0.
    """
    common = a.raw.keys() & b.raw.keys()
    same = sum(a.raw[key] == b.raw[key] for key in common)
    return (same / len(common) if common else 0.0), len(common)


def flips(earlier: Replies, later: Replies) -> tuple[int, int]:
    """Return how many common queries turned from wrong to right, and from right to wrong."""
    common = earlier.right.keys() & later.right.keys()
    gained = sum(later.right[key] and not earlier.right[key] for key in common)
    lost = sum(earlier.right[key] and not later.right[key] for key in common)
    return gained, lost


def find_labels(entries: Sequence[Replies]) -> list[Label]:
    """Compare every pair of entries and label the later one, in the order of dates and ids."""
    ordered = sorted(entries, key=lambda one: (one.date, one.id))
    labels = []
    for place, later in enumerate(ordered):
        if later.baseline:
            continue
        for earlier in ordered[:place]:
            labels += _labels(earlier, later)
    return labels


def _labels(earlier: Replies, later: Replies) -> list[Label]:
    found = []
    share, n = identical_share(earlier, later)
    if n >= MIN_COMMON and share > COPY_SHARE:
        same = " (the same weights)" if earlier.weights & later.weights else ""
        text = f"{share:.1%} of {n} replies are those of {earlier.id}{same}"
        found.append(_label(earlier, later, "copy", text, share))
    gained, lost = flips(earlier, later)
    if earlier.org == later.org and lost == 0 and gained >= MIN_GAINS:
        text = f"{gained} answers more are right than in {earlier.id}, and none turned wrong"
        found.append(_label(earlier, later, "additive", text, 0.0))
    return found


def _label(earlier: Replies, later: Replies, kind: str, text: str, share: float) -> Label:
    return Label(entry=later.id, other=earlier.id, kind=kind, text=text, share=share)
