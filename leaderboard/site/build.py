"""Submissions to a board: every run scored again, all entries of a suite on the same resamples.

No number in a submission is read but what nothing else can know: sizes, dates, seconds and tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...benchmark._version import __version__
from ...benchmark.errors import IntegrityError, UsageError
from ...benchmark.metrics.bootstrap import resample
from ...benchmark.metrics.verdicts import METRIC_VERSION
from ...benchmark.records import ACCESS, ORACLE
from ...benchmark.scoring.matched import draws, fixed_verdict, recipe
from ...benchmark.suite.select import tasks_of
from ...benchmark.suite.suite import Suite
from ...benchmark.task import Task
from ..ranking.overall import Scales, Standing, TaskScore, scales_of, standings
from ..submissions.checks import SPLIT
from ..submissions.copies import Label, find_labels
from ..submissions.entries import Entry, entry_sha256, find_entries
from ..verification.ledger import read_ledger
from ..verification.tiers import standing
from .board import Board, Column, Row, SuiteBoard
from .matrix import access_matrices
from .rows import Scored, compared_replies, make_row
from .scored import ScoredRun, scored_run
from .shards import Asked, Sheet

LEDGER = "ledger.jsonl"
"""Name of the ledger in the folder of submissions."""

OnEntry = Callable[[int, int], None]
"""Told run files scored, and run files in all."""

Found = tuple[Task, Suite]


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """A suite with all that was submitted to it."""

    name: str
    """Name of the suite."""
    tasks: tuple[Found, ...]
    """Its tasks."""
    entries: tuple[Scored, ...]
    """Its entries, in the order of ids."""


def make_board(
    root: Path,
    *,
    ledger: Path | None = None,
    suite: str | None = None,
    use_cache: bool = True,
    on_entry: OnEntry = lambda _done, _total: None,
) -> tuple[Board, tuple[Sheet, ...]]:
    """Score all entries and return the board with the queries of each suite and task."""
    collected = collect(root, ledger=ledger, suite=suite, use_cache=use_cache, on_entry=on_entry)
    suites, sheets = [], []
    for one in collected:
        table = _suite_board(one)
        suites.append(table)
        sheets += _sheets(one, table)
    board = Board(
        package=__version__,
        metric_version=METRIC_VERSION,
        suites=tuple(suites),
        matrices=access_matrices([(one.tasks, one.entries) for one in collected]),
    )
    return board, tuple(sheets)


def collect(
    root: Path,
    *,
    ledger: Path | None = None,
    suite: str | None = None,
    use_cache: bool = True,
    on_entry: OnEntry = lambda _done, _total: None,
) -> tuple[Collected, ...]:
    """Score all entries, suite by suite; `make_board` says what the arguments mean."""
    entries = find_entries(root)
    if not entries:
        raise UsageError(f"{root}: holds no entries; `introspect-bench submit` writes one")
    lines = read_ledger(root / LEDGER if ledger is None else ledger)
    total, done = sum(len(entry.runs) for entry in entries), 0
    collected = []
    for name in sorted({entry.suite for entry in entries}):
        tasks = tuple(tasks_of(name if suite is None else suite))
        own = []
        for entry in (one for one in entries if one.suite == name):
            runs = {}
            for path in entry.runs:
                task, run = _scored(entry, path, tasks, use_cache=use_cache)
                runs[task] = run
                done += 1
                on_entry(done, total)
            where = standing(lines, entry.id, entry_sha256(entry), list(runs))
            own.append(Scored(entry=entry, runs=runs, standing=where))
        collected.append(Collected(name=name, tasks=tasks, entries=tuple(own)))
    return tuple(collected)


def _scored(
    entry: Entry, path: Path, tasks: Sequence[Found], *, use_cache: bool
) -> tuple[str, ScoredRun]:
    for task, suite in tasks:
        if path.stem == task.name:
            run = scored_run(path, task, suite, use_cache=use_cache)
            if (split := run.result["split"]) != SPLIT:
                raise IntegrityError(f"{path}: answers the {split} split, a board shows {SPLIT}")
            return task.name, run
    raise UsageError(f"{path}: the suite {entry.suite} has no task {path.stem}")


def _suite_board(found: Collected) -> SuiteBoard:
    scores = _task_scores(found)
    scales = scales_of(found.tasks, SPLIT)
    ranked = {one.entry.id: one.access.access for one in found.entries if one.ranked}
    counted = scales.counted
    places = standings(scores, counted, ranked=ranked) if counted else {}
    labels: dict[str, list[Label]] = {}
    for label in find_labels([compared_replies(one, found.tasks) for one in found.entries]):
        labels.setdefault(label.entry, []).append(label)
    by_id = {one.entry.id: one for one in found.entries}
    rows = []
    for one in found.entries:
        control = by_id.get(str(one.entry.fields.get("vector_use")))
        if control is not None and not _is_control(one, control, found.tasks):
            control = None
        own = labels.get(one.entry.id, ())
        rows.append(make_row(one, places, own, found.tasks, control=control))
    rows.sort(key=lambda row: _order(row, places))
    target = found.tasks[0][1].manifest["target"].get("name")
    return SuiteBoard(
        name=found.name,
        target=str(target or found.name),
        split=SPLIT,
        columns=tuple(_column(task, suite, found, scales) for task, suite in found.tasks),
        rows=tuple(rows),
        no_overall=scales.missing,
    )


def _is_control(own: Scored, control: Scored, tasks: Sequence[Found]) -> bool:
    for task, suite in tasks:
        runs = [one.runs.get(task.name) for one in (own, control)]
        headers = [run.header for run in runs if run is not None]
        recipes = [recipe(header, task, vectors=False) for header in headers]
        fixed = any(fixed_verdict(header, suite, task.headline) for header in headers)
        if len(headers) == 2 and (fixed or recipes[0] != recipes[1]):
            return False
    return True


def _order(row: Row, places: Mapping[str, Standing]) -> tuple[Any, ...]:
    """By access class, those without rank last; ranked before others, best first, then by id."""
    part = ACCESS.index(row.access)
    last = (1 if row.access == ORACLE else 0, 0) if row.unranked else (-1, part)
    whole = places.get(row.id)
    place = whole.place if whole else None
    value = whole.overall.value if whole and whole.overall else None
    return *last, place is None, value is None, -(value or 0.0), row.id


def _task_scores(found: Collected) -> dict[str, dict[str, TaskScore]]:
    """Return headline and its resamples, by entry and task; the same draws for all entries."""
    scores: dict[str, dict[str, TaskScore]] = {one.entry.id: {} for one in found.entries}
    for task, suite in found.tasks:
        having = [one for one in found.entries if task.name in one.runs]
        if not having:
            continue
        runs = [one.runs[task.name] for one in having]
        for run in runs:
            if run.ids != runs[0].ids:
                raise IntegrityError(f"two entries of {found.name} answer different queries")
        rng = draws(suite, task, SPLIT)
        values = resample([run.table for run in runs], [task.headline], rng=rng)[task.headline]
        for one, run, moved in zip(having, runs, values, strict=True):
            known = run.result["overall"]["metrics"][task.headline]["value"]
            value = math.nan if known is None else known
            scores[one.entry.id][task.name] = TaskScore(value=value, resampled=moved)
    return scores


def _column(task: Task, suite: Suite, found: Collected, scales: Scales) -> Column:
    runs = [one.runs[task.name] for one in found.entries if task.name in one.runs]
    n, n_groups = (runs[0].table.n, runs[0].table.n_groups) if runs else (0, 0)
    scale = scales.by_task.get(task.name)
    return Column(
        task=task.name,
        version=task.version,
        title=task.name.replace("-", " ").capitalize(),
        summary=task.summary,
        metric=task.headline,
        n=n,
        n_groups=n_groups,
        floor=None if scale is None else scale.floor,
        ceiling=None if scale is None else scale.ceiling,
        data_sha256=suite.data_sha256,
        left_out=scales.left_out.get(task.name, ""),
    )


def _sheets(found: Collected, table: SuiteBoard) -> list[Sheet]:
    by_id = {one.entry.id: one for one in found.entries}
    sheets = []
    for (task, suite), column in zip(found.tasks, table.columns, strict=True):
        rows = [row for row in table.rows if task.name in by_id[row.id].runs]
        if not rows:
            continue
        sheets.append(
            Sheet(
                key=f"{found.name}-{task.name}",
                title=f"{column.title} · {table.target}",
                queries=_asked(task, suite),
                entries=tuple((row.id, row.name) for row in rows),
                replies=tuple(by_id[row.id].runs[task.name].replies for row in rows),
            )
        )
    return sheets


def _asked(task: Task, suite: Suite) -> tuple[Asked, ...]:
    truth: Mapping[str, Any] = (suite.feature_truth if suite.describes else suite.truth)(SPLIT)
    return tuple(
        Asked(
            id=query.id,
            about=(query.kind, *_layers(query.fields), f"group {query.group}"),
            asked=task.render(query).question,
            truth=task.format_answer(truth[query.id].answer),
        )
        for query in suite.queries(SPLIT)
    )


def _layers(fields: Mapping[str, Any]) -> list[str]:
    if "layer" in fields:
        return [f"layer {fields['layer']}"]
    if "layers" not in fields:
        return []
    first, last = fields["layers"]
    return [f"layers {first} to {last}"]
