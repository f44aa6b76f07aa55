"""Which charts a board has, and of what. Pure.

Each access class has charts of its own: a line that joins two classes would compare them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ...benchmark.export.tables import title
from ...benchmark.records import RANKED
from . import figures
from .board import Row, SuiteBoard
from .plotting import Plot, Point, drawn

MAX_LINES = 6
"""Most entries drawn as lines by layer."""


def charts_of(suites: Sequence[SuiteBoard]) -> list[dict[str, Any]]:
    """Return every chart that there is data for, as coordinates."""
    plots = []
    for suite in suites:
        for access in RANKED:
            own = [row for row in suite.rows if row.access == access and not row.unranked]
            part = replace(suite, rows=tuple(own), target=f"{suite.target}, {access}")
            plots += [_by_cost(part), _by_data(part)]
            plots += [_by_layer(part, column) for column in range(len(suite.columns))]
    return [drawn(plot) for plot in plots if plot is not None]


def _by_cost(suite: SuiteBoard) -> Plot | None:
    points = [
        Point(x=row.seconds_per_query, y=row.overall, name=row.name, css=row.kind)
        for row in suite.rows
        if row.overall and row.seconds_per_query
    ]
    if len(points) < 2:
        return None
    best, frontier = -math.inf, []
    for point in sorted(points, key=lambda one: (one.x, -one.y.value)):
        if point.y.value > best:
            best = point.y.value
            frontier.append(point)
    return Plot(
        title="Score against cost",
        subtitle=f"{suite.target}; the line joins entries that none beats in both",
        x_name="time per query",
        is_time=True,
        y_name="overall",
        metric=figures.OVERALL,
        groups=tuple((point,) for point in points),
        log=True,
        frontier=tuple(frontier),
    )


def _by_data(suite: SuiteBoard) -> Plot | None:
    groups: dict[str, list[Point]] = {}
    for row in suite.rows:
        if row.overall and row.n_train:
            point = Point(x=row.n_train, y=row.overall, name=row.name, css=row.kind)
            groups.setdefault(f"{row.org}/{row.base}", []).append(point)
    if sum(map(len, groups.values())) < 2:
        return None
    untrained = [r.overall.value for r in suite.rows if r.overall and r.kind == "untrained"]
    return Plot(
        title="Score against data",
        subtitle=f"{suite.target}; lines join one organisation's entries on one base",
        x_name="training queries",
        y_name="overall",
        metric=figures.OVERALL,
        groups=tuple(
            tuple(sorted(group, key=lambda p: p.x)) for _, group in sorted(groups.items())
        ),
        log=True,
        lines=True,
        levels=((max(untrained), "best untrained"),) if untrained else (),
    )


def _by_layer(suite: SuiteBoard, place: int) -> Plot | None:
    column = suite.columns[place]
    chosen: list[Row] = [
        row
        for row in suite.rows
        if column.task in row.scores
        and len(row.scores[column.task].by_layers) > 1
        and not row.withdrawn
    ]
    chosen.sort(key=lambda row: (-_headline(row, column.task), row.id))
    if not chosen:
        return None
    chosen = chosen[:MAX_LINES]
    blocks = {(one.first, one.last) for row in chosen for one in row.scores[column.task].by_layers}
    order = {block: float(number) for number, block in enumerate(sorted(blocks))}
    groups = tuple(
        tuple(
            Point(x=order[one.first, one.last], y=one.score, name=row.name, css=f"line{number}")
            for one in row.scores[column.task].by_layers
        )
        for number, row in enumerate(chosen)
    )
    return Plot(
        title=f"{column.title} by layer",
        subtitle=f"{suite.target}; the best {len(chosen)} entries",
        x_name="layers",
        y_name=title(column.metric),
        metric=column.metric,
        groups=groups,
        lines=True,
        x_texts=tuple((x, _layers(block)) for block, x in order.items()),
    )


def _layers(block: tuple[int, int]) -> str:
    return str(block[0]) if block[0] == block[1] else f"{block[0]}\N{EN DASH}{block[1]}"


def _headline(row: Row, task: str) -> float:
    estimate = row.scores[task].headline
    return -math.inf if estimate is None else estimate.value
