"""Scores over how much was learnt from, as one SVG document: pure, the same bytes every time.

Owns what is joined by a line. How points are placed is `plotting`'s; each task has a panel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...benchmark.errors import UsageError
from ...benchmark.export.tables import clean
from ...benchmark.export.titles import title
from ..site.board import Estimate
from ..site.plotting import HEIGHT, WIDTH, Plot, Point, drawn
from ..site.render import templates

MAX_LINES = 6
"""Most lines in a panel; the style sheet has as many colours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """The score of one explainer that learnt from a part of the training split."""

    task: str
    """Name of the task."""
    metric: str
    """Name of its headline metric."""
    where: str
    """Suite and split."""
    recipe: str
    """Equal for explainers that differ in how much they learnt from alone."""
    name: str
    """What the explainer is called."""
    n_train: int
    """Training queries of the task."""
    score: Estimate
    """The headline metric."""


def scaling_svg(points: Sequence[Learnt]) -> str:
    """Draw a panel a task: the headline with its interval over training queries.

    Raises:
        UsageError: there is no point, two are at one place, or there are too many lines.
    """
    if not points:
        raise UsageError("give the run files of explainers that learnt from parts of train")
    tasks = sorted({(point.task, point.where) for point in points})
    panels = [
        drawn(_panel([point for point in points if (point.task, point.where) == task]))
        for task in tasks
    ]
    return (
        templates().get_template("scaling.svg.j2").render(panels=panels, width=WIDTH, height=HEIGHT)
    )


def _panel(points: Sequence[Learnt]) -> Plot:
    amounts = sorted({point.n_train for point in points})
    recipes: dict[str, list[Learnt]] = {}
    for point in sorted(points, key=lambda one: (one.n_train, one.name)):
        line = recipes.setdefault(point.recipe, [])
        if line and line[-1].n_train == point.n_train:
            raise UsageError(
                f"{clean(point.name)} and {clean(line[-1].name)} differ in nothing and learnt from "
                f"{point.n_train} queries of {point.task} both; give one of them"
            )
        line.append(point)
    lines = sorted(recipes.values(), key=lambda line: (-line[-1].score.value, line[-1].name))
    if len(lines) > MAX_LINES:
        raise UsageError(f"{len(lines)} explainers in one panel; give runs of {MAX_LINES} at most")
    return Plot(
        title=points[0].task,
        subtitle=points[0].where,
        x_name=f"training queries of {points[0].task} ({points[0].where})",
        y_name=title(points[0].metric),
        metric=points[0].metric,
        groups=tuple(
            tuple(
                # all of a line are called what its last is
                Point(
                    x=float(amounts.index(point.n_train)),
                    y=point.score,
                    name=clean(line[-1].name).rpartition("/")[2],
                    css=f"line{number}",
                )
                for point in line
            )
            for number, line in enumerate(lines)
        ),
        lines=True,
        x_texts=tuple((float(place), f"{n:,}") for place, n in enumerate(amounts)),
    )
