"""From points and lines to coordinates for inline SVG. Pure.

Owns scales, ticks and where names are written; what is plotted is `charts`'s.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from . import figures
from .board import Estimate

WIDTH, HEIGHT = 480, 330
"""Size of a chart, in its own units."""
LEFT, RIGHT, TOP, BOTTOM = 46, 468, 30, 278
"""Where the axes are."""
MARGIN = 112
"""Width kept right of lines for their names."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """From a quantity to a place."""

    low: float
    """Value at `start`."""
    high: float
    """Value at `end`."""
    start: float
    """Place of the low end."""
    end: float
    """Place of the high end."""
    log: bool = False
    """Whether equal ratios are equally far."""

    def at(self, value: float) -> float:
        """Return the place of a value, to a tenth."""
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        return round(self.start + (self.end - self.start) * (value - low) / (high - low), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One number of one entry."""

    x: float
    """Across."""
    y: Estimate
    """Up."""
    name: str
    """What it is called."""
    css: str
    """Kind of the entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """What a chart shows."""

    title: str
    """Its name."""
    subtitle: str
    """What is plotted, with the suite."""
    x_name: str
    """Title of the axis across."""
    y_name: str
    """Title of the axis up."""
    metric: str
    """Metric, for the numbers on the axis up."""
    groups: tuple[tuple[Point, ...], ...]
    """Points; those of one group have a line through them if `lines`."""
    log: bool = False
    """Whether x is on a log scale."""
    is_time: bool = False
    """Whether x is in seconds."""
    lines: bool = False
    """Whether points of a group are joined."""
    levels: tuple[tuple[float, str], ...] = ()
    """Horizontal lines with their text."""
    frontier: tuple[Point, ...] = ()
    """Points that no other beats in both directions, left first."""
    x_texts: tuple[tuple[float, str], ...] = field(default=())
    """Ticks across, where they are not round numbers."""


def drawn(plot: Plot) -> Json:
    """Return a plot as the template takes it: text, places and paths."""
    points = [point for group in plot.groups for point in group]
    ends = [end for p in points for end in (p.y.low, p.y.high, p.y.value) if end is not None]
    y_ticks = ticks(min([0.0, *ends]), max([*ends, *(value for value, _ in plot.levels)]))
    y = Scale(low=y_ticks[0], high=y_ticks[-1], start=BOTTOM, end=TOP)
    x, x_ticks = _across(plot, [point.x for point in points])
    series = [_series(group, x, y, plot) for group in plot.groups]
    if len(plot.frontier) > 1:
        series.insert(0, {"css": "frontier", "path": _path(plot.frontier, x, y), "points": []})
    if plot.x_texts:
        _label_lines(series)
    else:
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
        "right": RIGHT - MARGIN if plot.x_texts else RIGHT,
        "bottom": BOTTOM,
        "y_ticks": [{"at": y.at(v), "text": figures.shown(plot.metric, v)} for v in y_ticks],
        "x_ticks": x_ticks,
        "levels": [{"at": y.at(value), "text": text} for value, text in plot.levels],
        "series": series,
    }


def _across(plot: Plot, values: Sequence[float]) -> tuple[Scale, list[Json]]:
    if plot.x_texts:
        last = max(x for x, _ in plot.x_texts)
        x = Scale(low=-0.3, high=last + 0.1, start=LEFT, end=RIGHT - MARGIN)
        step = math.ceil(len(plot.x_texts) / 10)
        return x, [{"at": x.at(v), "text": text} for v, text in plot.x_texts[::step]]
    low = 10 ** math.floor(math.log10(min(values)) + 1e-9)
    high = 10 ** math.ceil(math.log10(max(values)) + 1e-9)
    high = high if high > low else 10 * low
    x = Scale(low=low, high=high, start=LEFT, end=RIGHT, log=plot.log)
    text = figures.duration if plot.is_time else figures.short
    decades = range(round(math.log10(low)), round(math.log10(high)) + 1)
    return x, [{"at": x.at(10.0**n), "text": text(10.0**n)} for n in decades]


def _series(group: Sequence[Point], x: Scale, y: Scale, plot: Plot) -> Json:
    drawn = [
        {
            "x": x.at(point.x),
            "y": y.at(point.y.value),
            "range": _range(point, x, y),
            "title": _title(point, plot),
            "name": point.name,
            "label": "",
        }
        for point in group
    ]
    joined = plot.lines and len(group) > 1
    return {
        "css": group[0].css,
        "path": _path(group, x, y) if joined else "",
        "points": drawn,
    }


def _range(point: Point, x: Scale, y: Scale) -> str:
    if point.y.low is None or point.y.high is None:
        return ""
    return f"M{x.at(point.x):g} {y.at(point.y.low):g}V{y.at(point.y.high):g}"


def _title(point: Point, plot: Plot) -> str:
    said = figures.interval(plot.metric, point.y)
    return f"{point.name}: {figures.shown(plot.metric, point.y.value)} {said}".strip()


def _path(points: Sequence[Point], x: Scale, y: Scale) -> str:
    return "M" + "L".join(f"{x.at(p.x):g} {y.at(p.y.value):g}" for p in points)


def _label(series: Sequence[Json]) -> None:
    """Write names beside points where they hit no other name or point; others keep their title."""
    taken: list[tuple[float, float, float, float]] = []
    dots = [(point["x"], point["y"]) for one in series for point in one["points"]]
    for one in series:
        for point in one["points"]:
            name = _name(point)
            width = 6.3 * len(name)
            for side in (1, -1):
                start = point["x"] + 8 if side == 1 else point["x"] - 8 - width
                box = (start, point["y"] - 7, start + width, point["y"] + 7)
                inside = box[0] >= LEFT and box[2] <= WIDTH
                if (
                    inside
                    and not any(_hits(box, other) for other in taken)
                    and not any(
                        box[0] < dot[0] < box[2] and box[1] < dot[1] < box[3] for dot in dots
                    )
                ):
                    taken.append(box)
                    point |= {
                        "label": name,
                        "label_x": round(point["x"] + 8 * side, 1),
                        "label_y": round(point["y"] + 4, 1),
                        "anchor": "start" if side == 1 else "end",
                    }
                    break


def _label_lines(series: Sequence[Json]) -> None:
    """Write each line's name right of its last point, moved down where names would touch."""
    ends = sorted(
        (one["points"][-1] for one in series), key=lambda point: (point["y"], point["name"])
    )
    places, last = [], 0.0
    for point in ends:
        last = max(point["y"] + 4, last + 14)
        places.append(last)
    limit = float(BOTTOM)
    for number in reversed(range(len(places))):  # back up, where they ran below the axis
        places[number] = min(places[number], limit)
        limit = places[number] - 14
    right = max(point["x"] for point in ends)
    for point, y in zip(ends, places, strict=True):
        point |= {
            "label": _name(point, 17),
            "label_x": round(right + 12, 1),
            "label_y": round(y, 1),
            "anchor": "start",
        }


def _name(point: Json, most: int = 24) -> str:
    name: str = point["name"]
    return name if len(name) <= most else f"{name[: most - 1]}…"


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
