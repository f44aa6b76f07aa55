"""Submissions to a board: every run scored again, all entries of a suite on the same resamples.

No number in a submission is read but what nothing else can know: sizes, dates, seconds and tokens.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from ...benchmark._version import METRIC_VERSION, PROMPT_VERSION, __version__
from ...benchmark.cache import Progress, silent
from ...benchmark.errors import IntegrityError, MissingPartError, UsageError
from ...benchmark.export.tables import NOTHING
from ...benchmark.metrics.bootstrap import ends, resample
from ...benchmark.records import ACCESS, ORACLE
from ...benchmark.scoring.compare import draws
from ...benchmark.scoring.scale import Scale
from ...benchmark.suite.select import tasks_of
from ...benchmark.suite.suite import Suite
from ...benchmark.task import Task
from ..submissions.checks import SPLIT
from ..submissions.copies import find_labels
from ..submissions.entries import ENTRY, LEDGER, Entry, entry_sha256, find_entries
from ..submissions.pull_request import git
from ..verification.ledger import Line, read_ledger, standing
from .board import Board, Column, Row, SuiteBoard, Worth
from .contrasts import worths
from .figures import difference
from .matrix import access_matrices
from .ranking import Headline, Scales, Standing, scales_of, standings
from .render import Sheet, ShownQuery
from .rows import Collected, ScoredEntry, Tasks, compared_replies, make_row
from .scored import ScoredRun, scored_run
from .shades import true_windows

MAX_LOG_BYTES = 64 << 20  # longest list of merges that is read


def make_board(root: Path, **options: Any) -> tuple[Board, tuple[Sheet, ...]]:
    """Return the board with the queries of each suite and task; `collect` takes the options."""
    collected = collect(root, **options)
    use_cache = options.get("use_cache", True)
    worth = worths(collected, use_cache=use_cache)
    tables = list(map(_suite_board, collected, worth))
    sheets = [sheet for pair in zip(collected, tables, strict=True) for sheet in _sheets(*pair)]
    board = Board(
        package=__version__,
        metric_version=METRIC_VERSION,
        prompt_version=PROMPT_VERSION,
        suites=tuple(tables),
        matrices=access_matrices(collected, use_cache=use_cache),
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
        members, own = [entry for entry in entries if entry.suite == name], []
        order = _merge_order(root, lines, [entry.id for entry in members])
        for entry in members:
            runs = {}
            for path in entry.runs:
                runs[path.stem] = _scored(entry, path, tasks, use_cache=use_cache)
                done += 1
                progress("scoring runs", done, total)
            state = standing(lines, entry.id, entry_sha256(entry), list(runs))
            place = order[entry.id]
            own.append(ScoredEntry(entry=entry, runs=runs, ledger=state, place=place))
        collected.append(Collected(name=name, tasks=tasks, entries=own))
    return tuple(collected)


def _merge_order(root: Path, lines: Sequence[Line], ids: Collection[str]) -> Mapping[str, int]:
    """Return a number by entry: the lower came first, equal ones are not known to differ.

    It is the merge that brought an entry, along the first parents of what is checked out, and what
    is not committed is newest. Where git knows no entry, the lines `accept` of the ledger count,
    and if one entry lacks its line, nothing is known.
    """
    found = _commits(root)
    if not found:
        found = {line.entry: line.number for line in reversed(lines) if line.event == "accept"}
        found = found if found.keys() >= set(ids) else {}
    last = max(found.values(), default=0) + 1
    return {one: found.get(one, last) for one in ids}


def _commits(root: Path) -> dict[str, int]:
    """Return the number of the merge that added each entry, oldest first."""
    words = "--first-parent -m --reverse --diff-filter=A --no-renames --relative --name-only"
    try:
        listed = git(root, "log", *words.split(), "--format=%x01", "-z", limit=MAX_LOG_BYTES)
    except (MissingPartError, IntegrityError):  # no repository, or a listing that is cut
        return {}
    found: dict[str, int] = {}
    for number, commit in enumerate(listed.decode("utf-8", "replace").split("\x01")):
        for path in commit.replace("\n", "\0").split("\0"):
            parts = path.split("/")
            if len(parts) == 3 and parts[2] == ENTRY:
                found.setdefault(parts[1], number)
    return found


def _scored(entry: Entry, path: Path, tasks: Tasks, *, use_cache: bool) -> ScoredRun:
    for task, suite in tasks:
        if path.stem == task.name:
            run = scored_run(path, task, suite, use_cache=use_cache)
            if (split := run.result["split"]) != SPLIT:
                raise IntegrityError(f"{path}: answers the {split} split, a board shows {SPLIT}")
            return run
    raise UsageError(f"{path}: the suite {entry.suite} has no task {path.stem}")


def _suite_board(found: Collected, worth: tuple[Worth, ...]) -> SuiteBoard:
    scores = _headlines(found)
    scales = scales_of(found.tasks, SPLIT)
    ranked = {one.entry.id: one.access.access for one in found.entries if one.ranked}
    places = standings(scores, scales.counted, ranked=ranked) if scales.counted else {}
    labels = find_labels([compared_replies(one, found.tasks) for one in found.entries])
    rows = [make_row(one, found, places, labels) for one in found.entries]
    return SuiteBoard(
        name=found.name,
        target=found.target or found.name,
        split=SPLIT,
        columns=tuple(_column(task, suite, found, scales) for task, suite in found.tasks),
        rows=tuple(sorted(rows, key=lambda row: _order(row, places, scales.by_task))),
        no_overall=scales.missing,
        worth=worth,
    )


def _order(
    row: Row, places: Mapping[str, Standing], scales: Mapping[str, Scale]
) -> tuple[Any, ...]:
    """By access class, those without rank last; best overall first, then best on one task."""
    last = (row.access == ORACLE, 0) if row.unranked else (-1, ACCESS.index(row.access))
    place = places[row.id].place if row.id in places else None
    value = row.overall.value if row.overall else None
    rescaled = [-math.inf]
    for task, score in row.scores.items():
        scale = scales.get(task, Scale(floor=0, ceiling=1))
        if score.headline is not None:
            length = scale.ceiling - scale.floor
            rescaled.append((score.headline.value - scale.floor) / length)
    return *last, place is None, value is None, -(value or 0.0), -max(rescaled), row.id


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
    runs = (one.runs.get(task.name) for one in found.entries)
    table = next((run.table for run in runs if run), None)
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
                    metrics=task.metrics,
                    differences=_differences(rows, runs, task, suite),
                )
            )
    return sheets


def _differences(
    rows: Sequence[Row], runs: Mapping[str, Mapping[str, ScoredRun]], task: Task, suite: Suite
) -> dict[str, list[str]]:
    """Return each two equals' paired differences by metric, as text, by their places.

    Equals are entries that are ranked and come by their answers in the same way.
    """
    own = [runs[row.id][task.name] for row in rows]
    rng = draws(suite, task, SPLIT)
    moved = resample([run.table for run in own], task.metrics, rng=rng)
    known = [run.result["overall"]["metrics"] for run in own]
    found: dict[str, list[str]] = {}
    for i, j in combinations(range(len(rows)), 2):
        pair = (rows[i], rows[j])
        ways = {row.scores[task.name].access for row in pair}
        if len(ways) > 1 or any(row.unranked or row.withdrawn for row in pair):
            continue
        found[f"{i}-{j}"] = texts = []
        for name in task.metrics:
            first, second = (known[place][name]["value"] for place in (i, j))
            both = first is not None and second is not None
            interval = ends(moved[name][i] - moved[name][j])
            texts.append(difference(name, first - second, interval) if both else NOTHING)
    return found


def _shown_queries(task: Task, suite: Suite) -> tuple[ShownQuery, ...]:
    windows = true_windows(suite, SPLIT) if suite.describes else {}
    truth: Mapping[str, Any] = (suite.feature_truth if suite.describes else suite.truth)(SPLIT)
    return tuple(
        ShownQuery(
            id=query.id,
            about=(query.kind, *_layers(query.fields), f"group {query.group}"),
            asked=task.render(query).question,
            truth=task.format_answer(truth[query.id].answer),
            windows=windows.get(query.id, ()),
        )
        for query in suite.queries(SPLIT)
    )


def _layers(fields: Mapping[str, Any]) -> list[str]:
    if "layer" in fields:
        return [f"layer {fields['layer']}"]
    return ["layers {} to {}".format(*fields["layers"])] if "layers" in fields else []
