"""Differences between two explainers as Markdown tables: whole, and on parts of the queries. Pure.

Owns how a difference is written. Every name is a stranger's text and is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...benchmark.export import tables as table
from ...benchmark.export.tables import NOTHING
from ...benchmark.export.titles import title
from ...benchmark.metrics.slices import PARTS, PartDifference
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
    """Return a sentence and a table of differences, or what to say if there are none.

    Args:
        rows: differences.
        said: the sentence.
        nothing: what to say.

    Raises:
        IntegrityError: a value is not a finite number.
    """
    if not rows:
        return nothing
    head = ["task", "metric", "explainer", "minus", "because", "difference", "p (Holm)"]
    lines = [said, "", table.bar([*head, "told apart"])]
    lines.append(table.bar(["---"] * 5 + ["---:"] * 2 + ["---"]))
    for row in rows:
        names = [table.escape(table.clean(name)) for name in (row.first, row.second)]
        p = "< 0.001" if row.p < 0.001 else f"{row.p:.3f}"
        metric, difference = title(row.metric), difference_text(row)
        lines.append(table.bar([row.task, metric, *names, row.why, difference, p, _apart(row)]))
    return "\n".join(lines)


def _apart(row: Contrast) -> str:
    """Whether the two are told apart, and which way."""
    if row.p >= LEVEL:
        return "no"
    return "yes, higher" if row.value > 0 else "yes, lower"


def difference_text(row: Contrast, part: PartDifference | None = None) -> str:
    """Return a difference, or that on a part of the queries, with its interval as text.

    Raises:
        IntegrityError: a value is not a finite number.
    """
    found = row if part is None else part
    if found.value is None:
        return NOTHING
    text = signed(row.metric, found.value)
    if found.interval_95 is None:
        return text
    low, high = found.interval_95
    return f"{text} [{signed(row.metric, low)}, {signed(row.metric, high)}]"


def parts_of(rows: Sequence[Contrast], results: Sequence[Mapping[str, Any]]) -> str:
    """Return differences, then scores, by layers and by kind, one table a task.

    Args:
        rows: differences; those without parts are left out.
        results: what `score` returned of trained explainers.

    Raises:
        IntegrityError: a value is not a finite number.
    """
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
    lines = [table.bar(head), table.bar(["---"] * 2 + ["---:"] * len(names))]
    for row in rows:
        first, second = (table.escape(table.clean(name)) for name in (row.first, row.second))
        parts = row.parts[heading]
        cells = [difference_text(row, parts[one]) if one in parts else NOTHING for one in names]
        lines.append(table.bar([f"{first} minus {second}", row.why, *cells]))
    return "\n".join(lines)


def _scores(rows: Sequence[Mapping[str, Any]], heading: str) -> str:
    """The headline of trained explainers on parts."""
    part = f"by_{heading}"
    names = sorted({name for row in rows for name in row[part]})
    if not names:
        return ""
    found = {(name, row[part][name]["n"]) for row in rows for name in row[part]}
    sizes = {one: " or ".join(str(n) for name, n in sorted(found) if name == one) for one in names}
    head = f"{rows[0]['task']}, {_titles(rows[0]['headline'], heading, names)} by {heading}"
    lines = [table.bar([head, *(f"{name} (n = {sizes[name]})" for name in names)])]
    lines.append(table.bar(["---"] + ["---:"] * len(names)))
    labels = table.distinct([table.label(row["explainer"]) for row in rows], rows)
    made = (_part(row, part, names, name) for row, name in zip(rows, labels, strict=True))
    return "\n".join([*lines, *made])


def _part(row: Mapping[str, Any], part: str, names: Sequence[str], label: str) -> str:
    cells = []
    for name in names:
        metric = _metric(row["headline"], part.removeprefix("by_"), name)
        known = name in row[part]
        cells.append(table.cell(metric, row[part][name]["metrics"][metric]) if known else NOTHING)
    return table.bar([table.escape(label), *cells])


def _metric(headline: str, heading: str, name: str) -> str:
    """Return the metric of a part, as `benchmark/metrics/slices.py` compares by it."""
    return of_part(headline, [name]) if heading == "kind" else headline


def _titles(headline: str, heading: str, names: Sequence[str]) -> str:
    metrics = dict.fromkeys(_metric(headline, heading, name) for name in names)
    return " or ".join(title(metric) for metric in metrics)
