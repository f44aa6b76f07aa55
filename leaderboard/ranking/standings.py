"""A suite's entries in order: the overall of each, and where it stands. Pure.

Owns who is ranked with whom: entries of one access class that have an overall. Without a task there
is no place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from introspect_bench.benchmark.scoring.scale import Scale
from introspect_bench.leaderboard.ranking.overall import Overall, TaskScore, overall
from introspect_bench.leaderboard.ranking.ranking import Place, rank_intervals


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a board says of an entry as a whole."""

    overall: Overall | None
    """Mean over the tasks that count, rescaled; None if a task is lacking."""
    place: Place | None
    """Rank among the ranked entries of its class; None if it is not one of them."""


def standings(
    scores: Mapping[str, Mapping[str, TaskScore]],
    scales: Mapping[str, Scale],
    *,
    ranked: Mapping[str, str],
) -> dict[str, Standing]:
    """Return the standing of every entry.

    Args:
        scores: headline by task, by entry; resampled alike for all entries of a task.
        scales: by task, of every task that counts (`Scales.counted`).
        ranked: access class by entry that may be ranked: no oracles, and not what was withdrawn or
            is not confirmed.
    """
    found = {entry: overall(own, scales) for entry, own in scores.items()}
    classes: dict[str, dict[str, Overall]] = {}
    for entry, whole in found.items():
        if whole is not None and entry in ranked:
            classes.setdefault(ranked[entry], {})[entry] = whole
    places: dict[str, Place] = {}
    for contestants in classes.values():
        values = np.array([whole.value for whole in contestants.values()])
        resampled = np.stack([whole.resampled for whole in contestants.values()])
        places |= zip(contestants, rank_intervals(values, resampled), strict=True)
    return {
        entry: Standing(overall=whole, place=places.get(entry)) for entry, whole in found.items()
    }
