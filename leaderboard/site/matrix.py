"""The privileged-access matrix: does a model explain itself better than others explain it?

A column is a target: the same queries for all. Every explainer that is known to be made from a
target model has a row in the matrix of its access class; its score is set against that of its equal
among the self-explainers. Answers without the own vectors have no cell, and a twin of the target is
another model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

from ...benchmark.records import RANKED
from ...benchmark.scoring.compare import fixed_verdict, recipe
from ...benchmark.suite.suite import Suite
from ...benchmark.task import Task
from .board import Access, Estimate, Matrix, estimate_of
from .contrasts import Contrast, Pair, contrast, corrected, parts_between, twin_of
from .rows import Collected, ScoredEntry, is_target, made_from
from .scored import ScoredRun

MAX_ROWS = 30
"""Most explainers of a class and target, best first: each costs a permutation test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """One explainer asked about one target."""

    task: Task
    suite: Suite
    target: str
    access: str  # class of its run
    # Whether it was made from the target; a twin has its function in other coordinates.
    is_self: bool
    found: ScoredEntry
    score: Estimate  # its headline

    @property
    def run(self) -> ScoredRun:
        """Its run."""
        return self.found.runs[self.task.name]

    @property
    def column(self) -> tuple[str, str]:
        """What it is compared within: the task and the access class."""
        return self.task.name, self.access

    def equals(self, other: Contestant) -> bool:
        """Whether both differ in nothing but whom they were made from, and their seeds."""
        both = (self, other)
        trained = {one.found.entry.fields.kind == "trained" for one in both}
        ours, theirs = (recipe(one.run.header, one.task) for one in both)
        fixed = (fixed_verdict(one.run.header, self.suite, self.task.headline) for one in both)
        return len(trained) == 1 and ours == theirs and not any(fixed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """An explainer set against its equal among the self-explainers."""

    other: Contestant
    own: Contestant  # the self-explainer
    # The second's score minus the first's: the headline, then what is of one truth class; p after
    # Holm's correction over all rows of all pairs
    rows: tuple[Contrast, ...]

    @property
    def value(self) -> Estimate:
        """The first's headline minus the second's."""
        row = self.rows[0]
        return Estimate.of(-row.value, row.interval_95 and tuple(-x for x in row.interval_95[::-1]))


def contestants_of(suites: Sequence[Collected]) -> list[Contestant]:
    """Return who was asked about each target: the best entry of each explainer, best first."""
    return [
        one
        for suite in suites
        for task in suite.tasks
        for access in RANKED
        for one in _contestants(suite, *task, access)
    ]


def _contestants(collected: Collected, task: Task, suite: Suite, access: str) -> list[Contestant]:
    best: dict[str, Contestant] = {}
    for one in collected.entries:
        if one.access.by_task.get(task.name) != access or not one.ranked:
            continue
        base, of_target = made_from(one, collected), is_target(one, collected)
        run = one.runs[task.name]
        score = estimate_of(run.result["overall"]["metrics"][task.headline])
        explainer = run.header.explainer
        twin = "twin" in explainer.settings
        if base is None or score is None or explainer.no_vector or explainer.shuffled_vectors:
            continue
        if base == collected.target and not of_target and not twin:
            continue  # it says to be the target, and nothing shows it: neither self nor another
        if one.name not in best or best[one.name].score.value < score.value:
            best[one.name] = Contestant(
                task=task,
                suite=suite,
                target=str(suite.manifest["target"].get("name")),
                access=access,
                is_self=of_target and not twin,
                found=one,
                score=score,
            )
    ordered = sorted(best.values(), key=lambda one: (-one.score.value, one.found.name))
    return ordered[:MAX_ROWS]


def against_self(asked: Sequence[Contestant], *, use_cache: bool = True) -> list[Against]:
    """Set every explainer that has an equal among the self-explainers against it."""
    pairs = [
        Against(other=one, own=own, rows=_rows(own, one, use_cache=use_cache))
        for one in asked
        if not one.is_self and (own := _partner(one, asked)) is not None
    ]
    rows = iter(corrected([row for pair in pairs for row in pair.rows]))
    return [replace(pair, rows=tuple(islice(rows, len(pair.rows)))) for pair in pairs]


def _rows(own: Contestant, other: Contestant, *, use_cache: bool) -> tuple[Contrast, ...]:
    twin, task, suite = twin_of(other.found), own.task, own.suite
    pair = Pair(own.found, other.found, f"{twin} twin" if twin else "another model")
    metrics = [task.headline, *(name for name in task.metrics if name.endswith("changed"))]
    found = (contrast(pair, task, suite, metric, use_cache=use_cache) for metric in metrics)
    first, *rest = (row for row in found if row)
    return replace(first, parts=parts_between(own.run, other.run, task, suite)), *rest


def access_matrices(suites: Sequence[Collected], *, use_cache: bool = True) -> tuple[Matrix, ...]:
    """Return the matrix of each task and access class that a model-made explainer has answered."""
    asked = contestants_of(suites)
    pairs = against_self(asked, use_cache=use_cache)
    away = {(one.other.found.entry.id, one.other.task.name): one for one in pairs}
    tasks = dict.fromkeys(one.task.name for one in asked)
    columns = [(task, access) for task in tasks for access in RANKED]
    parts = ([one for one in asked if one.column == column] for column in columns)
    return tuple(_matrix(part, away) for part in parts if part)


def _matrix(asked: Sequence[Contestant], away: dict[tuple[str, str], Against]) -> Matrix:
    best: dict[str, float] = {}
    cells = []
    for one in asked:
        name, entry = one.found.name, one.found.entry.id
        best[name] = max(one.score.value, best.get(name, one.score.value))
        against = away.get((entry, one.task.name))
        cells.append(
            Access(
                row=name,
                target=one.target,
                entry=entry,
                score=one.score,
                is_self=one.is_self,
                to_self=against.value if against else None,
                p=against.rows[0].p if against else None,
                equal=against.own.found.entry.id if against else "",
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


def _partner(one: Contestant, asked: Sequence[Contestant]) -> Contestant | None:
    """Return the equal self-explainer: that of the same seed, or else the first by name.

    Not the best one: which of several seeds is best says nothing of privileged access.
    """
    where = (one.column, one.suite.name)
    selves = [
        other for other in asked if other.is_self and (other.column, other.suite.name) == where
    ]

    def order(other: Contestant) -> tuple[bool, str, str]:
        seeds = [each.run.header.explainer.settings.get("seed") for each in (one, other)]
        return seeds[0] != seeds[1], other.found.name, other.found.entry.id

    return min(filter(one.equals, selves), key=order, default=None)
