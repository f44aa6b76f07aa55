"""Which charts a board has, and of what. Pure.

Each access class has charts of its own: a line that joins two classes would compare them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...benchmark.export.tables import title
from ...benchmark.records import RANKED
from . import figures
from .board import Column, Estimate, SuiteBoard
from .figures import Axis

WIDTH, HEIGHT = 480, 330  # size of a chart, in its own units
LEFT, RIGHT, TOP, BOTTOM = 46, 468, 30, 278  # where the axes are
MARGIN = 112  # width kept right of lines for their names, where there is no legend

MAX_LINES = 6  # most entries drawn as lines; the style sheets have as many colours

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One number of one entry."""

    x: float
    y: Estimate
    name: str
    css: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """What a chart shows."""

    title: str
    subtitle: str  # what is plotted, with the suite
    x_name: str  # title of the axis across
    y_name: str  # title of the axis up
    metric: str  # metric, for the numbers on the axis up
    groups: tuple[tuple[Point, ...], ...]  # each with a line through its points
    is_time: bool = False  # whether x is in seconds
    legend: bool = False  # whether names of lines stand below the chart and not beside the lines
    levels: tuple[tuple[float, str], ...] = ()  # horizontal lines with their text
    frontier: tuple[Point, ...] = ()  # points that no other beats in both directions, left first
    # Ticks across, where they are not round numbers; without them x is on a log scale.
    x_texts: tuple[tuple[float, str], ...] = ()


def drawn(plot: Plot) -> Json:
    """Return a plot as the template takes it: text, places and paths."""
    points = [point for group in plot.groups for point in group]
    ends = [end for p in points for end in (p.y.low, p.y.high, p.y.value) if end is not None]
    y_ticks = ticks(min([0.0, *ends]), max([*ends, *(value for value, _ in plot.levels)]))
    y = Axis(low=y_ticks[0], high=y_ticks[-1], start=BOTTOM, end=TOP)
    x, x_ticks = _across(plot, [point.x for point in points])
    series = [_series(group, x, y, plot) for group in plot.groups]
    if len(plot.frontier) > 1:
        series.insert(0, {"css": "frontier", "path": _path(plot.frontier, x, y), "points": []})
    if plot.x_texts and not plot.legend:
        _label_lines(series)
    elif not plot.x_texts:
        _label(series)
    best = max(points, key=lambda point: point.y.value)
    return {
        "title": plot.title,
        "subtitle": plot.subtitle,
        "x_name": plot.x_name,
        "y_name": plot.y_name,
        "summary": f"highest is {best.name} with {figures.shown(plot.metric, best.y.value)}",
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "right": x.end if plot.x_texts else RIGHT,
        "bottom": BOTTOM,
        "y_ticks": [{"at": y.at(v), "text": figures.shown(plot.metric, v)} for v in y_ticks],
        "x_ticks": x_ticks,
        "levels": [{"at": y.at(value), "text": text} for value, text in plot.levels],
        "series": series,
        "legend": [(g[0].css, g[0].name) for g in plot.groups] if plot.legend else [],
    }


def _across(plot: Plot, values: Sequence[float]) -> tuple[Axis, list[Json]]:
    if plot.x_texts:
        last = max(x for x, _ in plot.x_texts)
        x = Axis(low=-0.3, high=last + 0.3, start=LEFT, end=RIGHT - MARGIN * (not plot.legend))
        step = math.ceil(len(plot.x_texts) / 10)
        return x, [{"at": x.at(v), "text": text} for v, text in plot.x_texts[::step]]
    low = 10 ** math.floor(math.log10(min(values)) + 1e-9)
    high = 10 ** math.ceil(math.log10(max(values)) + 1e-9)
    high = high if high > low else 10 * low
    x = Axis(low=low, high=high, start=LEFT, end=RIGHT, log=True)
    text = figures.duration if plot.is_time else figures.short
    decades = range(round(math.log10(low)), round(math.log10(high)) + 1)
    return x, [{"at": x.at(10.0**n), "text": text(10.0**n)} for n in decades]


def _series(group: Sequence[Point], x: Axis, y: Axis, plot: Plot) -> Json:
    drawn = []
    for point in group:
        low, high = point.y.low, point.y.high
        ends = "" if low is None or high is None else f"{y.at(low):g}V{y.at(high):g}"
        value = figures.shown(plot.metric, point.y.value)
        said = f"{point.name}: {value} {figures.interval(plot.metric, point.y)}"
        drawn.append(
            {
                "x": x.at(point.x),
                "y": y.at(point.y.value),
                "range": f"M{x.at(point.x):g} {ends}" if ends else "",
                "title": said.strip(),
                "name": point.name,
                "label": "",
            }
        )
    path = _path(group, x, y) if len(group) > 1 else ""
    return {"css": group[0].css, "path": path, "points": drawn}


def _path(points: Sequence[Point], x: Axis, y: Axis) -> str:
    return "M" + "L".join(f"{x.at(p.x):g} {y.at(p.y.value):g}" for p in points)


def _label(series: Sequence[Json]) -> None:
    """Write names beside points where they hit no other name or point; others keep their title."""
    points = [point for one in series for point in one["points"]]
    taken = [(point["x"], point["y"], point["x"], point["y"]) for point in points]
    for point in points:
        width = 7.2 * len(point["name"])
        for side in (1, -1):
            start = point["x"] + 8 if side == 1 else point["x"] - 8 - width
            box = (start, point["y"] - 7, start + width, point["y"] + 7)
            inside = box[0] >= LEFT and box[2] <= WIDTH and box[3] <= BOTTOM
            if inside and not any(_hits(box, other) for other in taken):
                taken.append(box)
                _write(point, len(point["name"]), point["x"] + 8 * side, point["y"] + 4, side)
                break


def _label_lines(series: Sequence[Json]) -> None:
    """Write each line's name right of its last point, moved down where names would touch."""
    last = (one["points"][-1] for one in series)
    ends = sorted(last, key=lambda point: (point["y"], point["name"]))
    places: list[float] = []
    for point in ends:
        places.append(max(point["y"] + 4, (places[-1] if places else 0.0) + 14))
    limit = float(BOTTOM)
    for number in reversed(range(len(places))):  # back up, where they ran below the axis
        places[number] = min(places[number], limit)
        limit = places[number] - 14
    right = max(point["x"] for point in ends)
    for point, y in zip(ends, places, strict=True):
        _write(point, 17, right + 12, y)


def _write(point: Json, most: int, x: float, y: float, side: int = 1) -> None:
    name, anchor = point["name"], "start" if side == 1 else "end"
    label = name if len(name) <= most else f"{name[: most - 1]}…"
    point |= {"label": label, "label_x": round(x, 1), "label_y": round(y, 1), "anchor": anchor}


def _hits(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def ticks(low: float, high: float) -> list[float]:
    """Return four to eight round values that hold both ends."""
    span = (high - low) or 1.0
    step = 10 ** math.floor(math.log10(span))
    for factor in (0.2, 0.25, 0.5, 1.0):
        if span / (step * factor) <= 6:
            step *= factor
            break
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


def charts_of(suites: Sequence[SuiteBoard]) -> list[Json]:
    """Return every chart that there is data for, as coordinates."""
    plots = []
    for suite in suites:
        for access in RANKED:
            own = [row for row in suite.rows if row.access == access and not row.unranked]
            part = replace(suite, rows=tuple(own), target=f"{suite.target}, {access}")
            plots += [_by_cost(part), _by_data(part)]
            plots += [_by_layer(part, column) for column in suite.columns]
    return [drawn(plot) for plot in plots if plot is not None]


def _by_cost(suite: SuiteBoard) -> Plot | None:
    points = [
        Point(x=row.seconds_per_query, y=row.overall, name=row.name, css=row.kind)
        for row in suite.rows
        if row.overall and row.seconds_per_query
    ]
    if len({point.x for point in points}) < 2:
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
        frontier=tuple(frontier),
    )


def _by_data(suite: SuiteBoard) -> Plot | None:
    groups: dict[str, list[Point]] = {}
    for row in suite.rows:
        if row.overall and row.n_train:
            point = Point(x=row.n_train, y=row.overall, name=row.name, css=row.kind)
            groups.setdefault(f"{row.org}/{row.base}", []).append(point)
    if len({point.x for points in groups.values() for point in points}) < 2:
        return None
    untrained = [r.overall.value for r in suite.rows if r.overall and r.kind == "untrained"]
    return Plot(
        title="Score against data",
        subtitle=f"{suite.target}; lines join one organisation's entries on one base",
        x_name="training queries",
        y_name="overall",
        metric=figures.OVERALL,
        groups=tuple(tuple(sorted(groups[key], key=lambda p: p.x)) for key in sorted(groups)),
        levels=((max(untrained), "best untrained"),) if untrained else (),
    )


def _by_layer(suite: SuiteBoard, column: Column) -> Plot | None:
    scores = [(row, row.scores[column.task]) for row in suite.rows if column.task in row.scores]
    chosen = [(r, s) for r, s in scores if len(s.by_layers) > 1 and not r.withdrawn]
    known = {row.id: score.headline.value if score.headline else -math.inf for row, score in chosen}
    chosen = sorted(chosen, key=lambda one: (-known[one[0].id], one[0].id))[:MAX_LINES]
    if len(chosen) < 2:
        return None
    blocks = sorted({(one.first, one.last) for _, score in chosen for one in score.by_layers})
    order = {block: float(number) for number, block in enumerate(blocks)}
    groups = tuple(
        tuple(
            Point(x=order[one.first, one.last], y=one.score, name=row.name, css=f"line{number}")
            for one in score.by_layers
        )
        for number, (row, score) in enumerate(chosen)
    )
    names = [str(first) if first == last else f"{first}\N{EN DASH}{last}" for first, last in blocks]
    return Plot(
        title=f"{column.title} by layer",
        subtitle=f"{suite.target}; the best {len(chosen)} entries",
        x_name="layers",
        y_name=title(column.metric),
        metric=column.metric,
        groups=groups,
        legend=True,
        x_texts=tuple(zip(order.values(), names, strict=True)),
    )
