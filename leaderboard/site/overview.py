"""The parts of a page around the tables: numbers under the title, matrices, glossary. Pure."""

from __future__ import annotations

from typing import Any

from ...benchmark.export.tables import title
from ...benchmark.records import ACCESS
from ..report.contrasts import LEVEL
from ..verification.tiers import TIERS
from . import figures
from .board import Board, Matrix
from .view import (
    ACCESS_HELP,
    DATE_HELP,
    KIND_HELP,
    NO_ANSWER_HELP,
    RANK_HELP,
    SECONDS_HELP,
    SIZE_HELP,
    TIER_HELP,
    TOKENS_HELP,
    VECTOR_HELP,
    anchor,
    column_range,
)

ABOUT_ACCESS = (
    "How answers were come by. The benchmark sets it, from where vectors enter and how replies are "
    "chosen; of their own code submitters declare it, and such code is ranked among words only "
    "after a re-run in a process that holds no weights of the target. Each run has a class; an "
    "entry stands in the widest of its runs' (words, runs-target, replays), and ranks, letters, "
    "overall and privileged access compare within a class."
)
"""What the page says of access classes."""

Json = dict[str, Any]


def matrix_view(matrix: Matrix, board: Board) -> Json:
    """Return the matrix of a task; pairs that were not measured are None."""
    found = {(cell.row, cell.target): cell for cell in matrix.cells}
    values = [cell.score.value for cell in matrix.cells]
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
            "anchor": anchor(suites[target], cell.entry),
            "is_self": cell.is_self,
            "significant": cell.p is not None and cell.p < LEVEL,
            "difference": figures.signed(matrix.metric, away.value) if away else "",
            "explain": f"to self {figures.interval(matrix.metric, away)}{p}",
        }

    return {
        "title": f"{matrix.title} \N{MIDDLE DOT} {matrix.access}",
        "metric": title(matrix.metric),
        "targets": matrix.targets,
        "rows": [
            {"name": row, "cells": [view(row, target) for target in matrix.targets]}
            for row in matrix.rows
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
    heads: dict[str, str] = {"Rank": RANK_HELP, "Overall": figures.explain(figures.OVERALL)}
    for suite in board.suites:
        for column in suite.columns:
            heads.setdefault(column.title, f"{column.summary}{column_range(column)}")
    scores = [s for suite in board.suites for row in suite.rows for s in row.scores.values()]
    for name in (name for score in scores for name in score.metrics):
        heads.setdefault(title(name), figures.explain(name))
    heads |= {"Tier": TIER_HELP} | dict(TIERS.values())
    heads |= {"No answer": NO_ANSWER_HELP, "Vectors": VECTOR_HELP, "Cost": TOKENS_HELP}
    heads |= {"Time": SECONDS_HELP, "Size": SIZE_HELP, "Date": DATE_HELP}
    shown = {row.access for suite in board.suites for row in suite.rows}
    classes = [(f"Access: {name}", ACCESS_HELP[name]) for name in ACCESS if name in shown]
    return [*heads.items(), ("Access", ABOUT_ACCESS), *classes, *KIND_HELP.items()]
