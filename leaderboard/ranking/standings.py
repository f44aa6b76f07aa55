"""A suite's entries in order: the overall of each, and where it stands. Pure.

Owns who is ranked with whom: entries of one access class that have an overall. Without a task there
is no place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...benchmark.errors import UsageError
from ...benchmark.metrics.verdicts import evaluate
from ...benchmark.scoring.matched import Graded, Matched, match
from ...benchmark.scoring.scale import Scale
from .overall import Overall, TaskScore, overall
from .ranking import Place, rank_intervals


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

    Raises:
        ValueError: as `overall` and `rank_intervals`.
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


def match_entries(entries: Mapping[str, Sequence[Graded]]) -> dict[str, tuple[list[str], Matched]]:
    """Put all entries' runs of a task on the same queries.

    Args:
        entries: runs by entry, at most one a task each.

    Returns:
        By task: the entries that have it, in the order given, and their runs in the same order.

    Raises:
        UsageError: two runs of an entry are of one task, or runs of one task are about different
            queries.
        IncompleteRunError: a run lacks rows.
    """
    found: dict[str, tuple[list[str], list[Graded]]] = {}
    for entry, runs in entries.items():
        for graded in runs:
            names, members = found.setdefault(graded.task.name, ([], []))
            if entry in names:
                raise UsageError(f"{graded.path}: {entry} has two runs of {graded.task.name}")
            names.append(entry)
            members.append(graded)
    return {task: (names, match(members)) for task, (names, members) in found.items()}


def task_scores(
    matched: Mapping[str, tuple[Sequence[str], Matched]],
) -> dict[str, dict[str, TaskScore]]:
    """Return the headline of every entry on every task it has, by entry and task.

    Args:
        matched: what `match_entries` returned.
    """
    found: dict[str, dict[str, TaskScore]] = {}
    for task, (names, runs) in matched.items():
        metric = runs.task.headline
        resampled = runs.resampled(metric)  # (n_runs, n_resamples)
        for name, table, values in zip(names, runs.tables, resampled, strict=True):
            score = TaskScore(value=evaluate(metric, table), resampled=np.asarray(values))
            found.setdefault(name, {})[task] = score
    return found
