"""Differences between two explainers as Markdown tables, strangers' names escaped. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...benchmark.export import tables as table
from ...benchmark.export.tables import NOTHING, title
from ...benchmark.metrics.bootstrap import PARTS, PartDifference
from ...benchmark.metrics.verdicts import of_part
from ..site.figures import signed

LEVEL = 0.05
"""Corrected p below which two are told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """One explainer minus another on the same queries of one task."""

    task: str
    """Name of the task."""
    metric: str
    """Name of the headline metric."""
    first: str
    """Who is looked at."""
    second: str
    """Who it is set against."""
    why: str
    """What is different about the second, in a few words."""
    value: float
    """The first's score minus the second's."""
    interval_95: tuple[float, float] | None
    """Bootstrap over groups."""
    p: float
    """Two-sided p of swapping whole groups, after Holm's correction over the page's section."""
    parts: Mapping[str, Mapping[str, PartDifference]] = field(default_factory=dict)
    """The same on parts of the queries: by what tells them apart, then by part."""


def contrast_table(rows: Sequence[Contrast], said: str, nothing: str) -> str:
    """Return a sentence and a table of differences, or what to say if there are none."""
    if not rows:
        return nothing
    head = ["task", "metric", "explainer", "minus", "because", "difference", "p (Holm)"]
    lines = [said, "", table.bar([*head, "told apart"])]
    lines.append(table.bar(["---"] * 5 + ["---:"] * 2 + ["---"]))
    for row in rows:
        names = _names(row)
        p = "< 0.001" if row.p < 0.001 else f"{row.p:.3f}"
        metric, difference = title(row.metric), difference_text(row)
        lines.append(table.bar([row.task, metric, *names, row.why, difference, p, _apart(row)]))
    return "\n".join(lines)


def minus(row: Contrast) -> str:
    """Return the two explainers as `A minus B`, escaped."""
    return " minus ".join(_names(row))


def _names(row: Contrast) -> list[str]:
    return [table.escape(table.clean(name)) for name in (row.first, row.second)]


def _apart(row: Contrast) -> str:
    if row.p >= LEVEL:
        return "no"
    return "yes, higher" if row.value > 0 else "yes, lower"


def difference_text(row: Contrast, part: PartDifference | None = None) -> str:
    """Return a difference, or that on a part of the queries, with its interval as text."""
    own = row if part is None else part
    if own.value is None:
        return NOTHING
    ends = [signed(row.metric, end) for end in own.interval_95 or ()]
    return signed(row.metric, own.value) + (f" [{', '.join(ends)}]" if ends else "")


def parts_of(rows: Sequence[Contrast], results: Sequence[Mapping[str, Any]]) -> str:
    """Return differences, then scores, by layers and by kind, one table a task."""
    if not results:
        return "There is no trained explainer yet."
    blocks = [
        "Differences from above and scores, on parts of the queries. Parts are small and many: "
        "intervals are wider, and no test was made."
    ]
    for task in sorted({row["task"] for row in results}):
        own = [row for row in rows if row.task == task]
        scored = [row for row in results if row["task"] == task]
        for heading in PARTS:
            blocks += [_differences(own, heading), _scores(scored, heading)]
    return "\n\n".join(block for block in blocks if block)


def _differences(rows: Sequence[Contrast], heading: str) -> str:
    rows = [row for row in rows if heading in row.parts]
    if not rows:
        return ""
    names = sorted({name for row in rows for name in row.parts[heading]})
    metric = _titles(rows[0].metric, heading, names)
    head = [f"{rows[0].task}, {metric}, difference by {heading}", "because", *names]
    lines = []
    for row in rows:
        parts = row.parts[heading]
        cells = [difference_text(row, parts[name]) if name in parts else NOTHING for name in names]
        lines.append([minus(row), row.why, *cells])
    return "\n".join(table.lines_of(head, lines, names=2))


def _scores(rows: Sequence[Mapping[str, Any]], heading: str) -> str:
    part = f"by_{heading}"
    names = sorted({name for row in rows for name in row[part]})
    if not names:
        return ""
    head = [f"{rows[0]['task']}, {_titles(rows[0]['headline'], heading, names)} by {heading}"]
    for name in names:
        sizes = sorted({row[part][name]["n"] for row in rows if name in row[part]})
        head.append(f"{name} (n = {' or '.join(map(str, sizes))})")
    labels = table.distinct([table.label(row["explainer"]) for row in rows], rows)
    lines = []
    for row, label in zip(rows, labels, strict=True):
        metrics = [_metric(row["headline"], heading, name) for name in names]
        cells = [
            table.cell(metric, row[part][name]["metrics"][metric]) if name in row[part] else NOTHING
            for name, metric in zip(names, metrics, strict=True)
        ]
        lines.append([table.escape(label), *cells])
    return "\n".join(table.lines_of(head, lines))


def _metric(headline: str, heading: str, name: str) -> str:
    return of_part(headline, [name]) if heading == "kind" else headline


def _titles(headline: str, heading: str, names: Sequence[str]) -> str:
    metrics = dict.fromkeys(_metric(headline, heading, name) for name in names)
    return " or ".join(title(metric) for metric in metrics)
