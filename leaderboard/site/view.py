"""A board as a template sees it: every number already text, every bar already a path. Pure.

Text of strangers stays as it is: the template escapes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...benchmark.export.tables import NOTHING, title
from ...benchmark.records import ACCESS, ORACLE
from ..verification.ledger import TIERS
from . import figures
from .board import Board, Column, Estimate, Matrix, Row, SuiteBoard
from .figures import ABOUT_ACCESS, ACCESS_HELP, HEAD_HELP, KIND_HELP, LEVEL

UNRANKED = "Not ranked: how the answers were come by is not said, or not confirmed"
"""Title of the rows that their access class does not rank, but for oracles."""
LAST = (UNRANKED, f"{ORACLE}: {ACCESS_HELP[ORACLE]}")  # titles of the parts without ranks
MAX_LETTERS = 3  # most letters of ties shown in the table

Json = dict[str, Any]

_AS_IS = ("id", "org", "name", "kind", "access", "withdrawn", "unranked", "notes", "bibtex")


def suite_view(suite: SuiteBoard) -> Json:
    """Return a suite's table: heads, and rows in parts, one an access class."""
    axes = {column.task: _axis(suite, column) for column in suite.columns}
    scored = [row.overall for row in suite.rows if row.overall]
    axes[figures.OVERALL] = figures.axis_of(scored, (0.0, 1.0), 1.0)
    views = [(row, _row(row, suite, axes)) for row in suite.rows]
    left_out = [f"{one.title}: {one.left_out}" for one in suite.columns if one.left_out]
    parts: dict[str, list[Json]] = {}
    for row, view in views:
        unranked = row.unranked and row.access != ORACLE
        part = UNRANKED if unranked else f"{row.access}: {ACCESS_HELP[row.access]}"
        parts.setdefault(part, []).append(view)
    return {
        "name": suite.name,
        "target": suite.target,
        "split": suite.split,
        "n_queries": f"{sum(column.n for column in suite.columns):,}",
        "heads": _heads(suite),
        "parts": [
            {"css": "oracles" if title in LAST else "ranked", "title": title, "rows": rows}
            for title, rows in parts.items()
        ],
        "all": [view for _, view in views],
        "notes": [suite.no_overall] if suite.no_overall else left_out,
    }


def _axis(suite: SuiteBoard, column: Column) -> figures.Axis:
    scores = [row.scores[column.task] for row in suite.rows if column.task in row.scores]
    top = 1.0 if column.ceiling is None else column.ceiling
    estimates = [score.headline for score in scores if score.headline]
    return figures.axis_of(estimates, (column.floor, column.ceiling), top)


def _heads(suite: SuiteBoard) -> list[Json]:
    heads = [
        ("rank", "Rank", "rank", "asc", ""),
        ("name", "Explainer", "who", "asc", ""),
        ("overall", "Overall", "num", "desc", "rescaled"),
        *(
            (f"task:{one.task}", one.title, "num", "desc", title(one.metric))
            for one in suite.columns
        ),
        ("tier", "Tier", "tier", "desc", ""),
        ("no-answer", "No answer", "few", "asc", "%"),
        ("vectors", "Vectors", "few", "desc", ""),
        ("tokens", "Cost", "few", "asc", "tokens"),
        ("seconds", "Time", "few", "asc", "per query"),
        ("size", "Size", "few", "asc", ""),
        ("date", "Date", "few", "desc", ""),
    ]
    texts = dict(HEAD_HELP)
    for one in suite.columns:
        texts[one.title] = f"{one.summary} {figures.explain(one.metric)}{_range(one)}"
    names = ("key", "title", "css", "first", "sub")
    return [
        dict(zip(names, head, strict=True)) | {"help": texts.get(head[1], "")} for head in heads
    ]


def _range(column: Column) -> str:
    parts = [
        f"{name} {figures.shown(column.metric, value)}"
        for name, value in (("floor", column.floor), ("ceiling", column.ceiling))
        if value is not None
    ]
    return f" ({', '.join(parts)})" if parts else ""


def _anchor(suite: str, entry: str) -> str:
    return f"entry-{suite}-{entry}"


def _row(row: Row, suite: SuiteBoard, axes: Mapping[str, figures.Axis]) -> Json:
    low, high = row.rank or (0, 0)
    span = str(low) if low == high else f"{low}\N{EN DASH}{high}"
    more = "…" if len(row.ties) > MAX_LETTERS else ""
    return {
        "anchor": _anchor(suite.name, row.id),
        **{name: getattr(row, name) for name in _AS_IS},
        "name_key": f"{row.org} {row.name}".casefold(),
        "text": " ".join((row.org, row.name, row.id, *row.authors)).casefold(),
        "rank": span if row.rank else NOTHING,
        "rank_key": low + high / 1e4 if row.rank else 1e6,
        "ties": " ".join(row.ties[:MAX_LETTERS]) + more,
        "letters": " ".join(row.ties),
        "labels": [{"short": text.split()[0], "text": text} for text in row.labels if text.split()],
        "cells": [*_scores(row, suite, axes), *_details(row)],
        "metrics": _metrics(row, suite),
        "facts": _facts(row),
        "links": list(row.links.items()),
    }


def _scores(row: Row, suite: SuiteBoard, axes: Mapping[str, figures.Axis]) -> list[Json]:
    found = [("Overall", figures.OVERALL, row.overall, axes[figures.OVERALL], "num overall", "")]
    for column in suite.columns:
        score = row.scores.get(column.task)
        other = score.access if score and score.access != row.access else ""
        estimate, axis = score.headline if score else None, axes[column.task]
        found.append((column.title, column.metric, estimate, axis, "num", other))
    return [
        _cell(
            label,
            figures.shown(metric, one.value) if one else NOTHING,
            repr(one.value) if one else None,
            css,
            note=f"{figures.interval(metric, one)} {other}".strip(),
            bar=figures.bar(one, axis) if one else None,
        )
        for label, metric, one, axis, css, other in found
    ]


def _details(row: Row) -> list[Json]:
    vectors, gain = ("given" if row.uses_vectors else "withheld"), row.vector_gain
    key = float(row.uses_vectors) if gain is None else 1 + gain.value
    note = "" if gain is None else f"{figures.signed(figures.OVERALL, gain.value)}"
    share = row.no_answer
    tokens, seconds = row.tokens_per_query, row.seconds_per_query
    return [
        _cell("Tier", TIERS[row.tier][0], row.tier, "tier", tier=row.tier),
        _cell("No answer", NOTHING if share is None else f"{100 * share:.1f}", share, "few"),
        _cell("Vectors", vectors, key, "few", note=note),
        _cell("Tokens / query", figures.short(tokens), tokens, "few"),
        _cell("Time / query", figures.duration(seconds), seconds, "few"),
        _cell("Parameters", figures.short(row.parameters), row.parameters, "few"),
        _cell("Date", row.date or NOTHING, row.date or None, "few date"),
    ]


def _cell(label: str, text: str, value: float | str | None, css: str, **more: Any) -> Json:
    rest = {"note": "", "bar": None, "tier": 0}
    return {"label": label, "css": css, "v": value, "text": text} | rest | more


def _metrics(row: Row, suite: SuiteBoard) -> list[Json]:
    found: list[tuple[str, str, str, str, Estimate | None]] = []
    if row.overall:
        found.append(("", "Overall", "rescaled", figures.OVERALL, row.overall))
    for column in suite.columns:
        score = row.scores.get(column.task)
        for name, estimate in score.metrics.items() if score else ():
            found.append((column.task, column.title, title(name), name, estimate))
    return [
        {
            "key": key,
            "task": task,
            "metric": metric,
            "value": figures.shown(name, one.value) if one else NOTHING,
            "interval": figures.interval(name, one),
        }
        for key, task, metric, name, one in found
    ]


DECLARED_FACTS = frozenset(
    {
        *("Authors", "Trained on", "Training queries", "Parameters", "Licence", "Attempts"),
        *("Ran with package", "Weights sha256"),
    }
)
"""What an entry says of itself and nothing checks; `submissions/README.md` has the whole list."""


def _facts(row: Row) -> list[tuple[str, str]]:
    label, meaning = TIERS[row.tier]
    overall, gained = figures.OVERALL, row.vector_gain
    gain = figures.signed(overall, gained.value) if gained else ""
    facts = [
        ("Entry", row.id),
        ("Kind", KIND_HELP[row.kind]),
        ("Access", f"{row.access}: {ACCESS_HELP[row.access]} ({row.access_basis or 'not said'})"),
        ("Not ranked", row.unranked),
        ("Authors", ", ".join(row.authors)),
        ("Tier", f"{label}: {meaning}"),
        ("Ledger", row.tier_note),
        ("Gain from vectors", f"{gain} {figures.interval(overall, gained)}".strip()),
        ("Trained on", "; ".join(row.trained_on)),
        ("Training queries", f"{row.n_train:,}" if row.n_train is not None else ""),
        ("Made from", row.base or ""),
        ("Parameters", f"{row.parameters:,}" if row.parameters is not None else ""),
        ("Licence", row.licence),
        *row.facts.items(),
    ]
    return [
        (f"{key} (declared)" if key in DECLARED_FACTS else key, value)
        for key, value in facts
        if value
    ]


def matrix_view(matrix: Matrix, board: Board) -> Json:
    """Return the equals of a task's matrix; pairs that were not measured are None."""
    equals = {cell.equal for cell in matrix.cells if cell.to_self}
    cells = [cell for cell in matrix.cells if cell.to_self or cell.entry in equals]
    found = {(cell.row, cell.target): cell for cell in cells}
    values = [cell.score.value for cell in cells]
    low, high = min(values, default=0.0), max(values, default=0.0)
    suites = {suite.target: suite.name for suite in board.suites}

    def view(row: str, target: str) -> Json | None:
        cell = found.get((row, target))
        if cell is None:
            return None
        away = cell.to_self
        p = "" if cell.p is None else f", p = {cell.p:.2g}"
        return {
            "heat": figures.heat(cell.score.value, low, high),
            "value": repr(cell.score.value),
            "text": figures.shown(matrix.metric, cell.score.value),
            "interval": figures.interval(matrix.metric, cell.score),
            "anchor": _anchor(suites[target], cell.entry),
            "is_self": cell.is_self,
            "significant": cell.p is not None and cell.p < LEVEL,
            "difference": figures.signed(matrix.metric, away.value) if away else "",
            "explain": f"to self {figures.interval(matrix.metric, away)}{p}",
        }

    return {
        "title": f"{matrix.title} \N{MIDDLE DOT} {matrix.access}",
        "metric": title(matrix.metric),
        "targets": (targets := [one for one in matrix.targets if one in {c.target for c in cells}]),
        "rows": [
            {"name": row, "cells": [view(row, target) for target in targets]}
            for row in matrix.rows
            if row in {cell.row for cell in cells}
        ],
    }


def stats_view(board: Board) -> list[tuple[str, str]]:
    """Return the numbers under the title."""
    suites = board.suites
    n = sum(column.n for suite in suites for column in suite.columns)
    tasks = {column.task for suite in suites for column in suite.columns}
    counted = (
        (sum(len(suite.rows) for suite in suites), "entry", "entries"),
        (len(tasks), "task", "tasks"),
        (n, "query", "queries"),
        (len({suite.target for suite in suites}), "target model", "target models"),
    )
    return [(f"{count:,}", one if count == 1 else many) for count, one, many in counted]


def terms_view(board: Board) -> list[tuple[str, str]]:
    """Return the glossary: every column, kind, tier and metric in a sentence."""
    heads = {name: HEAD_HELP[name] for name in ("Rank", "Overall")}
    for suite in board.suites:
        for column in suite.columns:
            heads.setdefault(column.title, f"{column.summary}{_range(column)}")
    scores = [s for suite in board.suites for row in suite.rows for s in row.scores.values()]
    for name in (name for score in scores for name in score.metrics):
        heads.setdefault(title(name), figures.explain(name))
    heads |= {"Tier": HEAD_HELP["Tier"]} | dict(TIERS.values())
    more = ("No answer", "Vectors", "Cost", "Time", "Size", "Date")
    heads |= {name: HEAD_HELP[name] for name in more}
    shown = {row.access for suite in board.suites for row in suite.rows}
    classes = [(f"Access: {name}", ACCESS_HELP[name]) for name in ACCESS if name in shown]
    return [*heads.items(), ("Access", ABOUT_ACCESS), *classes, *KIND_HELP.items()]
