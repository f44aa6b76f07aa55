"""The privileged-access matrix: does a model explain itself better than others explain it?

Owns who is compared with whom. A column is a target: the same queries for all. Every explainer that
is known to be made from a target model has a row; its score is set against the best self-explainer
of the same kind (trained with trained, untrained with untrained), on the same queries. Answers
without the own vectors have no cell, and a twin of the target is another model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from introspect_bench.benchmark.paired import adjust, compare
from introspect_bench.benchmark.suite import Suite
from introspect_bench.benchmark.task import Task
from introspect_bench.board_rows import Scored, estimate, made_from
from introspect_bench.entry_checks import SPLIT
from introspect_bench.leaderboard.board import Access, Estimate, Matrix
from introspect_bench.matching import draws

MAX_ROWS = 30
"""Most explainers of a matrix, best first: each cell costs a permutation test."""

Tasks = Sequence[tuple[Task, Suite]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """One explainer asked about one target."""

    row: str
    target: str
    kind: str
    base: str
    found: Scored
    score: Estimate
    twin: bool

    @property
    def is_self(self) -> bool:
        return self.base == self.target and not self.twin


def access_matrices(suites: Sequence[tuple[Tasks, Sequence[Scored]]]) -> tuple[Matrix, ...]:
    """Return the matrix of each task that an explainer made from a target model has answered.

    Args:
        suites: tasks and entries of each suite.
    """
    found = []
    names = dict.fromkeys(task.name for tasks, _ in suites for task, _ in tasks)
    for name in names:
        cells: list[Access] = []
        targets: list[str] = []
        best: dict[str, float] = {}
        title = metric = ""
        for tasks, entries in suites:
            for task, suite in tasks:
                if task.name != name:
                    continue
                title, metric = name.replace("-", " ").capitalize(), task.headline
                asked = _asked(task, tasks, entries)
                if asked:
                    targets.append(asked[0].target)
                for one in asked:
                    best[one.row] = max(one.score.value, best.get(one.row, one.score.value))
                cells += _cells(asked, task, suite)
        rows = sorted(best, key=lambda row: (-best[row], row))
        if cells:
            matrix = Matrix(
                task=name,
                title=title,
                metric=metric,
                rows=tuple(rows),
                targets=tuple(targets),
                cells=tuple(cells),
            )
            found.append(matrix)
    return tuple(found)


def _asked(task: Task, tasks: Tasks, entries: Sequence[Scored]) -> list[_Asked]:
    """Return who was asked about a suite's target: the best entry of each explainer."""
    target = str(tasks[0][1].manifest["target"].get("name"))
    best: dict[str, _Asked] = {}
    for one in entries:
        base, run = made_from(one, tasks), one.runs.get(task.name)
        kind = one.entry.fields["kind"]
        if base is None or run is None or kind == "oracle" or one.standing.withdrawn:
            continue
        score = estimate(run.result["overall"]["metrics"][task.headline])
        explainer = run.header["explainer"]
        if score is None or explainer["no_vector"] or explainer.get("shuffled_vectors"):
            continue
        row = f"{one.entry.fields['org']}/{one.entry.fields['name']}"
        own = _Asked(
            row=row,
            target=target,
            kind=kind,
            base=base,
            found=one,
            score=score,
            # a twin has the target's function or architecture in other coordinates
            twin="twin" in explainer.get("settings", {}),
        )
        if row not in best or best[row].score.value < score.value:
            best[row] = own
    ordered = sorted(best.values(), key=lambda one: (-one.score.value, one.row))
    return ordered[:MAX_ROWS]


def _cells(asked: Sequence[_Asked], task: Task, suite: Suite) -> list[Access]:
    cells: list[Access] = []
    tested: dict[int, float] = {}
    for one in asked:
        cell = Access(
            row=one.row,
            target=one.target,
            entry=one.found.entry.id,
            score=one.score,
            is_self=one.is_self,
        )
        selves = [other for other in asked if other.is_self and _alike(one.kind, other.kind)]
        if selves and not one.is_self:
            own, other = one.found.runs[task.name], selves[0].found.runs[task.name]
            seen = compare(own.table, other.table, task.headline, rng=draws(suite, task, SPLIT))
            if seen.value is not None and seen.p_permutation is not None:
                low, high = seen.interval_95 or (None, None)
                away = Estimate(value=seen.value, low=low, high=high)
                cell = replace(cell, to_self=away, p=seen.p_permutation)
                tested[len(cells)] = seen.p_permutation
        cells.append(cell)
    corrected = adjust(list(tested.values()), "holm")
    for place, p in zip(tested, corrected, strict=True):
        cells[place] = replace(cells[place], p=p)
    return cells


def _alike(kind: str, other: str) -> bool:
    """Whether two kinds may be compared: both trained, or neither."""
    return (kind == "trained") == (other == "trained")
