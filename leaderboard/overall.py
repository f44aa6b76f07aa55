"""One number over the tasks of a suite, on a scale that means the same for each. Pure.

A task's score is put on a scale from 0, the input-only *prior*, to 1, the *ceiling*, and the mean
is taken over all tasks of the suite:

    overall = mean over tasks of (score - prior) / (ceiling - prior)

**Prior.** What is earned without looking at the query. Where an intervention is asked about: the
share of queries whose answer is the split's commonest one (`prior_exact_match`), so that always
saying it stands at 0. It is not `input_only_ceiling`: that is a bound on what *any* reader of the
text alone could reach, which takes the truth to be reached; a scale that began there would put
nearly everyone below its zero. Where features are described: 0, what saying nothing earns. (Another
feature's description earns r = 0.02, which a prior of 0 gives away.)

**Ceiling.** What an explainer that knows everything earns. Where an intervention is asked about,
only the labels limit it: 1 less the share of frozen queries whose outcome is another one under
another batch size, padding side or rounded weights. Queries that flipped when a suite was tested
were dropped, so only flips that were *not* dropped count; the first suites have none, and their
ceiling is 1. A split that was not tested counts as one without flips. Where features are described:
the mean score of the verified reference descriptions, the best that is known to be true. A better
description may exist, so that 1 can be exceeded.

Nothing is clipped: an explainer below the prior is shown below 0. The ends of a scale are constants
of the suite, so an interval is that of the raw scores, and the raw scores belong beside it. An
entry without a whole run of every task has no overall: no number, and never 0. Tasks weigh the
same, however many queries they have.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from introspect_bench.benchmark.intervals import ends
from introspect_bench.benchmark.metrics import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The scores of a task's headline that count as 0 and as 1."""

    prior: float
    """Score that becomes 0."""
    ceiling: float
    """Score that becomes 1."""

    def __post_init__(self) -> None:
        """Refuse a scale without length."""
        if not math.isfinite(self.prior) or not math.isfinite(self.ceiling):
            raise ValueError("an end of a scale is not finite")
        if self.ceiling <= self.prior:
            raise ValueError(f"the ceiling {self.ceiling} is not above the prior {self.prior}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskScore:
    """An entry's headline on one task."""

    value: float
    """The raw score."""
    resampled: FloatArray
    """The raw score on every resample, (n_resamples,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overall:
    """An entry's mean over the tasks of a suite, rescaled."""

    value: float
    """0 at the priors, 1 at the ceilings, not clipped."""
    interval_95: tuple[float, float]
    """Percentile interval over groups."""
    resampled: FloatArray
    """The value on every resample, (n_resamples,); for `ranking.rank_intervals`."""
    by_task: Mapping[str, float]
    """The rescaled score of each task."""


def overall(scores: Mapping[str, TaskScore], scales: Mapping[str, Scale]) -> Overall | None:
    """Return an entry's overall, or None if it lacks a task of the suite.

    Args:
        scores: by task; those of tasks that are not in `scales` are not looked at. Resamples of one
            task must be those of the same draws for all entries that are compared, and those of
            different tasks must come from different draws.
        scales: by task, of every task of the suite.

    Raises:
        ValueError: the suite has no task, a number is NaN or infinite, or tasks have different
            numbers of resamples.
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
        score, length = scores[task], scale.ceiling - scale.prior
        if not math.isfinite(score.value) or not np.isfinite(score.resampled).all():
            raise ValueError(f"a score of {task} is NaN or infinite")
        values[task] = (score.value - scale.prior) / length
        resampled.append((score.resampled - scale.prior) / length)
    mean = np.mean(resampled, axis=0)  # (n_resamples,)
    return Overall(
        value=math.fsum(values.values()) / len(values),
        interval_95=ends(mean),
        resampled=mean,
        by_task=values,
    )


def scale_of(manifest: Mapping[str, Any], split: str, kinds: Sequence[str] | None) -> Scale | None:
    """Read the scale of a task's headline from the suite's manifest.

    Args:
        manifest: of the suite.
        split: which one; the mini split has no scale.
        kinds: the task's headline kinds, None for all.

    Returns:
        None if the manifest does not say enough.
    """
    statistics = manifest.get("statistics", {}).get(split)
    if not isinstance(statistics, Mapping):
        return None
    if manifest.get("truth") == "descriptions":
        ceiling = _reference(statistics, kinds)
        return None if ceiling is None else Scale(prior=0.0, ceiling=ceiling)
    prior = statistics.get("prior_exact_match")
    if prior is None:
        return None
    flips = _flips(manifest.get("stability", {}).get(split, {}), kinds)
    return Scale(prior=prior, ceiling=1 - flips)


def _reference(statistics: Mapping[str, Any], kinds: Sequence[str] | None) -> float | None:
    """Mean score of the reference descriptions over all features of the headline kinds."""
    parts = [
        (part["queries"], part["r_of_reference"])
        for kind, part in statistics.items()
        if isinstance(part, Mapping) and "r_of_reference" in part and (not kinds or kind in kinds)
    ]
    n = sum(count for count, _ in parts)
    return sum(count * mean for count, mean in parts) / n if n else None


def _flips(stability: Mapping[str, Any], kinds: Sequence[str] | None) -> float:
    """Least share of the kept queries whose outcome flipped in some test of the suite; 0 if none.

    At least as many flipped as in the configuration that flips most, and all that were dropped had.
    """
    parts = [stability] if "flip_rate" in stability else list(_of_kinds(stability, kinds))
    kept = sum(part["n_tested"] - part["n_dropped"] for part in parts)
    flipped = sum(
        max(0, round(max(part["flip_rate"].values()) * part["n_tested"]) - part["n_dropped"])
        for part in parts
    )
    return flipped / kept if kept else 0.0


def _of_kinds(
    stability: Mapping[str, Any], kinds: Sequence[str] | None
) -> Sequence[Mapping[str, Any]]:
    return [part for kind, part in stability.items() if kinds is None or kind in kinds]
