"""One number over the tasks of a suite, on a scale that means the same for each. Pure.

A task's headline is put on a scale from 0, the *floor*, to 1, the *ceiling*
(`benchmark/scoring/scale.py`: the best null model that only reads, and a calculator), and the mean
is taken over the tasks:

    overall = mean over tasks of (score - floor) / (ceiling - floor)

The floor is the same for entries of every access class: whoever replays an intervention and stays
below what reading alone reaches has shown nothing. Nothing is clipped: such an explainer is below
0. The ends of a scale are constants of the suite, so an interval is that of the raw scores, and the
raw scores belong beside it. A task whose suite misses a bar is not part of the mean, and the page
says so. Where a manifest has no null models there is no overall, with the reason in its place; a
scale is never made up. An entry without a whole run of every task that counts has none either: no
number, and never 0. Tasks weigh the same, however many queries they have.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...benchmark.metrics.bootstrap import ends
from ...benchmark.metrics.verdicts import FloatArray
from ...benchmark.scoring.scale import NoScaleError, Scale, bars_missed, scale_of
from ...benchmark.suite.suite import Suite
from ...benchmark.task import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Scales:
    """Where the scales of a suite's tasks begin and end, and which tasks count."""

    by_task: Mapping[str, Scale]
    """Every scale that is known."""
    left_out: Mapping[str, str]
    """Tasks that are not part of the overall: a sentence that says why."""
    missing: str = ""
    """Why there is no overall; empty if there is one."""

    @property
    def counted(self) -> Mapping[str, Scale]:
        """Scales of the tasks of which the overall is the mean; none if there is no overall."""
        if self.missing:
            return {}
        return {task: scale for task, scale in self.by_task.items() if task not in self.left_out}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskScore:
    """An entry's headline on one task."""

    value: float
    """The raw score; NaN if it has none."""
    resampled: FloatArray
    """The raw score on every resample, (n_resamples,); NaN where it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overall:
    """An entry's mean over the tasks of a suite, rescaled."""

    value: float
    """0 at the floors, 1 at the ceilings, not clipped."""
    interval_95: tuple[float, float]
    """Percentile interval over groups."""
    resampled: FloatArray
    """The value on every resample on which all tasks have one; for `ranking.rank_intervals`.

    Which those are depends on the queries, not on the answers: they are the same for all entries.
    """
    by_task: Mapping[str, float]
    """The rescaled score of each task."""


def overall(scores: Mapping[str, TaskScore], scales: Mapping[str, Scale]) -> Overall | None:
    """Return an entry's overall, or None if it has no score of a task, or none with an interval.

    Args:
        scores: by task; those of tasks that are not in `scales` are not looked at. Resamples of one
            task must be those of the same draws for all entries that are compared, and those of
            different tasks must come from different draws.
        scales: by task, of every task that counts.

    Raises:
        ValueError: no task counts, a number is infinite, or tasks have different numbers of
            resamples.
    """
    if not scales:
        raise ValueError("no task: a mean over nothing has no value")
    if any(task not in scores for task in scales):
        return None
    shapes = {scores[task].resampled.shape for task in scales}
    if len(shapes) != 1:
        raise ValueError(f"tasks were resampled differently: shapes {sorted(shapes)}")
    values, resampled = {}, []
    for task, scale in scales.items():
        score, length = scores[task], scale.ceiling - scale.floor
        if math.isinf(score.value) or np.isinf(score.resampled).any():
            raise ValueError(f"a score of {task} is infinite")
        values[task] = (score.value - scale.floor) / length
        resampled.append((score.resampled - scale.floor) / length)
    mean = np.mean(resampled, axis=0)  # (n_resamples,)
    value, interval = math.fsum(values.values()) / len(values), ends(mean)
    if not all(map(math.isfinite, (value, *interval))):
        return None
    return Overall(
        value=value,
        interval_95=interval,
        resampled=mean[np.isfinite(mean)],
        by_task=values,
    )


def scales_of(tasks: Sequence[tuple[Task, Suite]], split: str) -> Scales:
    """Read the scales of all tasks of a suite, and which of them count.

    Args:
        tasks: each with its suite.
        split: which split.

    Raises:
        IntegrityError: nulls or missed bars of a manifest are malformed.
    """
    known: dict[str, Scale] = {}
    left_out: dict[str, str] = {}
    reasons: list[str] = []
    for task, suite in tasks:
        if missed := bars_missed(suite.manifest):
            left_out[task.name] = f"Not part of the overall: {' '.join(missed)}"
        try:
            known[task.name] = scale_of(suite.manifest, split, task.headline)
        except NoScaleError as error:
            if not missed:
                reasons.append(f"{error}")
    if not reasons and len(left_out) == len(tasks):
        reasons = ["every task's suite misses a bar"]
    missing = f"There is no overall: {'; '.join(reasons)}." if reasons else ""
    return Scales(by_task=known, left_out=left_out, missing=missing)
