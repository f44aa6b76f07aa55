"""Graded runs of several entries to their scores on one suite, on the same resamples.

Owns how runs become what `leaderboard.standings` takes. No model, no network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.metrics.verdicts import evaluate
from introspect_bench.leaderboard.ranking.overall import TaskScore
from introspect_bench.matching import Graded, Matched, match


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
