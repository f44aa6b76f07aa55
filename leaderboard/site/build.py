"""Submissions to a board: every run scored again, all entries of a suite on the same resamples.

No number in a submission is read but what nothing else can know: sizes, dates, seconds and tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...benchmark._version import METRIC_VERSION, PROMPT_VERSION, __version__
from ...benchmark.cache import Progress, silent
from ...benchmark.errors import IntegrityError, UsageError
from ...benchmark.metrics.bootstrap import resample
from ...benchmark.records import ACCESS, ORACLE
from ...benchmark.scoring.matched import draws
from ...benchmark.suite.select import tasks_of
from ...benchmark.suite.suite import Suite
from ...benchmark.task import Task
from ..ranking.ranking import Headline, Scales, Standing, scales_of, standings
from ..submissions.checks import SPLIT
from ..submissions.copies import find_labels
from ..submissions.entries import LEDGER, Entry, entry_sha256, find_entries
from ..submissions.merged import merge_order
from ..verification.ledger import read_ledger, standing
from .board import Board, Column, Row, SuiteBoard
from .matrix import access_matrices
from .render import Sheet, ShownQuery
from .rows import Collected, ScoredEntry, Tasks, compared_replies, make_row
from .scored import ScoredRun, scored_run


def make_board(root: Path, **options: Any) -> tuple[Board, tuple[Sheet, ...]]:
    """Return the board with the queries of each suite and task; `collect` takes the options."""
    collected = collect(root, **options)
    tables = [_suite_board(one) for one in collected]
    sheets = [sheet for pair in zip(collected, tables, strict=True) for sheet in _sheets(*pair)]
    board = Board(
        package=__version__,
        metric_version=METRIC_VERSION,
        prompt_version=PROMPT_VERSION,
        suites=tuple(tables),
        matrices=access_matrices(collected),
    )
    return board, tuple(sheets)


def collect(
    root: Path,
    *,
    ledger: Path | None = None,
    suite: str | None = None,
    use_cache: bool = True,
    progress: Progress = silent,
) -> tuple[Collected, ...]:
    """Score all entries, suite by suite; `suite` is a folder of suites not in the package."""
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
                runs[path.stem] = _scored(entry, path, tasks, use_cache=use_cache)
                done += 1
                progress("scoring runs", done, total)
            state = standing(lines, entry.id, entry_sha256(entry), list(runs))
            own.append(ScoredEntry(entry=entry, runs=runs, ledger=state))
        order = merge_order(root, lines, [one.entry.id for one in own])
        collected.append(Collected(name=name, tasks=tasks, entries=own, order=order))
    return tuple(collected)


def _scored(entry: Entry, path: Path, tasks: Tasks, *, use_cache: bool) -> ScoredRun:
    for task, suite in tasks:
        if path.stem == task.name:
            run = scored_run(path, task, suite, use_cache=use_cache)
            if (split := run.result["split"]) != SPLIT:
                raise IntegrityError(f"{path}: answers the {split} split, a board shows {SPLIT}")
            return run
    raise UsageError(f"{path}: the suite {entry.suite} has no task {path.stem}")


def _suite_board(found: Collected) -> SuiteBoard:
    scores = _headlines(found)
    scales = scales_of(found.tasks, SPLIT)
    ranked = {one.entry.id: one.access.access for one in found.entries if one.ranked}
    places = standings(scores, scales.counted, ranked=ranked) if scales.counted else {}
    labels = find_labels(
        [compared_replies(one, found.tasks, found.order[one.entry.id]) for one in found.entries]
    )
    rows = [make_row(one, found, places, labels) for one in found.entries]
    return SuiteBoard(
        name=found.name,
        target=found.target or found.name,
        split=SPLIT,
        columns=tuple(_column(task, suite, found, scales) for task, suite in found.tasks),
        rows=tuple(sorted(rows, key=lambda row: _order(row, places))),
        no_overall=scales.missing,
    )


def _order(row: Row, places: Mapping[str, Standing]) -> tuple[Any, ...]:
    """By access class, those without rank last; ranked before others, best first, then by id."""
    part = ACCESS.index(row.access)
    last = (1 if row.access == ORACLE else 0, 0) if row.unranked else (-1, part)
    place = places[row.id].place if row.id in places else None
    value = row.overall.value if row.overall else None
    return *last, place is None, value is None, -(value or 0.0), row.id


def _headlines(found: Collected) -> dict[str, dict[str, Headline]]:
    """Return headline and its resamples, by entry and task; the same draws for all entries."""
    scores: dict[str, dict[str, Headline]] = {one.entry.id: {} for one in found.entries}
    for task, suite in found.tasks:
        runs = {one.entry.id: one.runs[task.name] for one in found.entries if task.name in one.runs}
        if len({run.ids for run in runs.values()}) > 1:
            raise IntegrityError(f"two entries of {found.name} answer different queries")
        if not runs:
            continue
        rng, tables = draws(suite, task, SPLIT), [run.table for run in runs.values()]
        values = resample(tables, [task.headline], rng=rng)[task.headline]
        for (entry, run), moved in zip(runs.items(), values, strict=True):
            known = run.result["overall"]["metrics"][task.headline]["value"]
            value = math.nan if known is None else known
            scores[entry][task.name] = Headline(value=value, resampled=moved)
    return scores


def _column(task: Task, suite: Suite, found: Collected, scales: Scales) -> Column:
    table = next(
        (one.runs[task.name].table for one in found.entries if task.name in one.runs), None
    )
    scale = scales.by_task.get(task.name)
    return Column(
        task=task.name,
        version=task.version,
        title=task.name.replace("-", " ").capitalize(),
        summary=task.summary,
        metric=task.headline,
        n=table.n if table else 0,
        n_groups=table.n_groups if table else 0,
        floor=None if scale is None else scale.floor,
        ceiling=None if scale is None else scale.ceiling,
        data_sha256=suite.data_sha256,
        left_out=scales.left_out.get(task.name, ""),
    )


def _sheets(found: Collected, table: SuiteBoard) -> list[Sheet]:
    runs = {one.entry.id: one.runs for one in found.entries}
    sheets = []
    for (task, suite), column in zip(found.tasks, table.columns, strict=True):
        rows = [row for row in table.rows if task.name in runs[row.id]]
        if rows:
            sheets.append(
                Sheet(
                    key=f"{found.name}-{task.name}",
                    title=f"{column.title} · {table.target}",
                    queries=_shown_queries(task, suite),
                    entries=tuple((row.id, row.name) for row in rows),
                    replies=tuple(runs[row.id][task.name].replies for row in rows),
                )
            )
    return sheets


def _shown_queries(task: Task, suite: Suite) -> tuple[ShownQuery, ...]:
    truth: Mapping[str, Any] = (suite.feature_truth if suite.describes else suite.truth)(SPLIT)
    return tuple(
        ShownQuery(
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
    return ["layers {} to {}".format(*fields["layers"])] if "layers" in fields else []
