"""The privileged-access matrix: does a model explain itself better than others explain it?

A column is a target: the same queries for all. Every explainer that is known to be made from a
target model has a row in the matrix of its access class; its score is set against that of its equal
among the self-explainers. Answers without the own vectors have no cell, and a twin of the target is
another model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...benchmark.metrics.paired import adjust, compare
from ...benchmark.records import RANKED
from ...benchmark.scoring.matched import draws, fixed_verdict, recipe
from ...benchmark.suite.suite import Suite
from ...benchmark.task import Task
from ..submissions.checks import SPLIT
from .board import Access, Estimate, Matrix, estimate_of
from .rows import Scored, made_from
from .scored import ScoredRun

MAX_ROWS = 30
"""Most explainers of a class and target, best first: each costs a permutation test."""

Tasks = Sequence[tuple[Task, Suite]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One explainer asked about one target."""

    task: Task
    """What it was asked."""
    suite: Suite
    """About which target."""
    target: str
    """Name of that target."""
    access: str
    """Access class of its run."""
    base: str
    """Name of the model that it was made from."""
    found: Scored
    """The entry."""
    score: Estimate
    """Its headline."""

    @property
    def row(self) -> str:
        """Its name, the same for all targets."""
        return self.found.name

    @property
    def run(self) -> ScoredRun:
        """Its run."""
        return self.found.runs[self.task.name]

    @property
    def column(self) -> tuple[str, str]:
        """What it is compared within: the task and the access class."""
        return self.task.name, self.access

    @property
    def is_self(self) -> bool:
        """Whether it was made from the target; a twin has its function in other coordinates."""
        return self.base == self.target and "twin" not in self.settings

    @property
    def settings(self) -> Mapping[str, Any]:
        """What else its run says of it."""
        return self.run.header.explainer.settings

    def equals(self, other: Asked) -> bool:
        """Whether both differ in nothing but whom they were made from, and their seeds."""
        trained = [one.found.entry.fields["kind"] == "trained" for one in (self, other)]
        ours, theirs = (recipe(one.run.header, one.task) for one in (self, other))
        fixed = any(
            fixed_verdict(one.run.header, self.suite, self.task.headline) for one in (self, other)
        )
        return trained[0] == trained[1] and ours == theirs and not fixed


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """An explainer set against its equal among the self-explainers."""

    other: Asked
    """Who is looked at."""
    own: Asked
    """The self-explainer."""
    value: Estimate
    """The first's score minus the second's."""
    p: float
    """Two-sided p of swapping whole groups, after Holm's correction over all such differences."""


def asked_of(suites: Sequence[tuple[Tasks, Sequence[Scored]]]) -> list[Asked]:
    """Return who was asked about each target: the best entry of each explainer, best first."""
    asked: list[Asked] = []
    for tasks, entries in suites:
        for task, suite in tasks:
            for access in RANKED:
                own = [one for one in entries if one.access.by_task.get(task.name) == access]
                asked += _asked(task, suite, tasks, access, own)
    return asked


def against_self(asked: Sequence[Asked]) -> list[Against]:
    """Set every explainer that has an equal among the self-explainers against it."""
    pairs = []
    for one in asked:
        partner = None if one.is_self else _partner(one, asked)
        if partner is None:
            continue
        rng = draws(one.suite, one.task, SPLIT)
        seen = compare(one.run.table, partner.run.table, one.task.headline, rng=rng)
        if seen.value is None or seen.p_permutation is None:
            continue
        low, high = seen.interval_95 or (None, None)
        away = Estimate(value=seen.value, low=low, high=high)
        pairs.append(Against(other=one, own=partner, value=away, p=seen.p_permutation))
    corrected = adjust([pair.p for pair in pairs], "holm")
    return [replace(pair, p=p) for pair, p in zip(pairs, corrected, strict=True)]


def access_matrices(suites: Sequence[tuple[Tasks, Sequence[Scored]]]) -> tuple[Matrix, ...]:
    """Return the matrix of each task and access class that a model-made explainer has answered."""
    asked = asked_of(suites)
    away = {(one.other.found.entry.id, one.other.task.name): one for one in against_self(asked)}
    tasks = dict.fromkeys(one.task.name for one in asked)
    parts = (
        [one for one in asked if one.column == (task, access)]
        for task in tasks
        for access in RANKED
    )
    return tuple(_matrix(part, away) for part in parts if part)


def _matrix(asked: Sequence[Asked], away: dict[tuple[str, str], Against]) -> Matrix:
    best: dict[str, float] = {}
    cells = []
    for one in asked:
        best[one.row] = max(one.score.value, best.get(one.row, one.score.value))
        against = away.get((one.found.entry.id, one.task.name))
        cells.append(
            Access(
                row=one.row,
                target=one.target,
                entry=one.found.entry.id,
                score=one.score,
                is_self=one.is_self,
                to_self=None if against is None else against.value,
                p=None if against is None else against.p,
            )
        )
    task = asked[0].task
    return Matrix(
        task=task.name,
        access=asked[0].access,
        title=task.name.replace("-", " ").capitalize(),
        metric=task.headline,
        rows=tuple(sorted(best, key=lambda row: (-best[row], row))),
        targets=tuple(dict.fromkeys(one.target for one in asked)),
        cells=tuple(cells),
    )


def _asked(
    task: Task, suite: Suite, tasks: Tasks, access: str, entries: Sequence[Scored]
) -> list[Asked]:
    target = str(suite.manifest["target"].get("name"))
    best: dict[str, Asked] = {}
    for one in entries:
        base, run = made_from(one, tasks), one.runs[task.name]
        score = estimate_of(run.result["overall"]["metrics"][task.headline])
        explainer = run.header.explainer
        if base is None or score is None or not one.ranked:
            continue
        if explainer.no_vector or explainer.shuffled_vectors:
            continue
        if one.name not in best or best[one.name].score.value < score.value:
            best[one.name] = Asked(
                task=task,
                suite=suite,
                target=target,
                access=access,
                base=base,
                found=one,
                score=score,
            )
    ordered = sorted(best.values(), key=lambda one: (-one.score.value, one.row))
    return ordered[:MAX_ROWS]


def _partner(one: Asked, asked: Sequence[Asked]) -> Asked | None:
    """Return the equal self-explainer: that of the same seed, or else the first by its entry's id.

    Not the best one: which of several seeds is best says nothing of privileged access.
    """
    selves = (
        other
        for other in asked
        if other.is_self
        and (other.column, other.suite.name) == (one.column, one.suite.name)
        and one.equals(other)
    )

    def order(other: Asked) -> tuple[bool, str]:
        return other.settings.get("seed") != one.settings.get("seed"), other.found.entry.id

    return min(selves, key=order, default=None)
