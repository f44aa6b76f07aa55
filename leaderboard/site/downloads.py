"""A board as CSV and BibTeX, beside `board.json`. Pure.

Owns what a spreadsheet may see: a cell that begins like a formula is made text, for a spreadsheet
runs it.
"""

from __future__ import annotations

import csv
import io

from .board import Board, Estimate, Row, SuiteBoard

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What the text of a formula begins with (OWASP, CSV Injection)."""
FULL_WIDTH = ("\uff1d", "\uff0b", "\uff0d", "\uff20")
"""The same signs as some programs also read them."""


def board_csv(board: Board) -> str:
    """Return one line an entry and task, numbers unrounded, text of strangers guarded."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)  # lines end in CR LF (RFC 4180), so that a CR in a cell is quoted
    writer.writerow(_HEAD)
    for suite in board.suites:
        for row in suite.rows:
            for line in _lines(suite, row):
                writer.writerow([guarded(value) for value in line])
    return out.getvalue()


def guarded(value: object) -> object:
    """Return a cell's value; text that begins like a formula gets an apostrophe in front."""
    if value is None:
        return ""
    if isinstance(value, str):
        start = value.lstrip(" \u00a0")
        if start.startswith((*FORMULA, *FULL_WIDTH)) or value.startswith(FORMULA):
            return f"'{value}"
    return value


def board_bib(board: Board) -> str:
    """Return the BibTeX of every entry that has one, each once."""
    found = dict.fromkeys(
        row.bibtex.strip() for suite in board.suites for row in suite.rows if row.bibtex.strip()
    )
    return "\n\n".join(found) + "\n" if found else ""


_HEAD = (
    "suite",
    "target",
    "task",
    "metric",
    "entry",
    "org",
    "name",
    "kind",
    "access",
    "value",
    "low_95",
    "high_95",
    "n",
    "unparsed",
    "missing",
    "ranked_in",
    "rank_low",
    "rank_high",
    "ties",
    "overall",
    "overall_low_95",
    "overall_high_95",
    "tier",
    "vectors",
    "tokens_per_query",
    "seconds_per_query",
    "parameters",
    "date",
)


def _lines(suite: SuiteBoard, row: Row) -> list[list[object]]:
    lines: list[list[object]] = []
    for column in suite.columns:
        score = row.scores.get(column.task)
        if score is None:
            continue
        lines.append(
            [
                *(suite.name, suite.target, column.task, column.metric),
                *(row.id, row.org, row.name, row.kind, score.access),
                *_ends(score.headline),
                *(score.n, score.unparsed, score.missing),
                "" if row.unranked or row.withdrawn else row.access,
                *(row.rank or (None, None)),
                " ".join(row.ties),
                *_ends(row.overall),
                *(row.tier, "yes" if row.uses_vectors else "no"),
                *(row.tokens_per_query, row.seconds_per_query, row.parameters, row.date),
            ]
        )
    return lines


def _ends(estimate: Estimate | None) -> tuple[float | None, ...]:
    if estimate is None:
        return None, None, None
    return estimate.value, estimate.low, estimate.high
