"""Scores that no explainer of an access class is known to reach: seen in CI, and on the page."""

from __future__ import annotations

from ...benchmark.records import ORACLE, REPLAYS, RUNS_TARGET, UNDECLARED, WORDS
from ...benchmark.scoring.scale import NoScaleError, best_told, scale_of
from ...benchmark.suite.suite import Suite
from ...benchmark.task import Task

LIMITS = {WORDS: 1 / 3, RUNS_TARGET: 1 / 3, REPLAYS: 1 / 3, UNDECLARED: 1 / 3}
"""Share of the way from floor to ceiling above which a score is looked at, of tasks about
interventions. Explainers and nulls of these classes stay below 0.2; carrying out the intervention
reaches 1, with half of the replies spoilt 0.39 or more."""
DESCRIBED = 0.9  # the same of descriptions, which nothing calculates


def suspicion(value: float | None, access: str, task: Task, suite: Suite, split: str) -> str | None:
    """Say why a headline score should be looked at, as a sentence without subject."""
    if value is None or access == ORACLE:
        return None
    try:
        scale = scale_of(suite.manifest, split, task.headline)
    except NoScaleError:
        return None
    told = best_told(suite.manifest, split, task.headline)
    if told is not None and value > told:
        return f"is {value:.3f}, above the best oracle, which reaches {told:.3f}"
    share = (value - scale.floor) / (scale.ceiling - scale.floor)
    limit = DESCRIBED if suite.describes else LIMITS[access]
    if share <= limit:
        return None
    said = f"is {value:.3f}, {share:.0%} of the way from the floor to the ceiling"
    if access == REPLAYS:
        return f"{said}: carrying out the intervention and spoiling some replies gives the same"
    return f"{said}: no explainer of class {access} is known to reach {limit:.0%}"
