"""A board to one HTML document; pure, the same bytes every time.

Owns everything that stands between a stranger's text and a reader's browser: Jinja2 escapes
whatever a template prints, JSON inside a script element cannot end it, and a content security
policy names the hash of the one script and the one style sheet that may act.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from ...benchmark import files
from .board import KINDS, Board
from .charts import charts_of
from .overview import matrix_view, stats_view, terms_view
from .view import suite_view

PARTS = Path(__file__).parents[1] / "page"
"""Templates, style sheet and script."""

_UNSAFE = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&'\u2028\u2029"}


def script_json(value: object) -> str:
    """Write a value as JSON that can stand inside a script, of an HTML page or a file of its own.

    Signs that could end the element, or a line of the script, are escapes.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    return files.compact_json(value).translate(_UNSAFE)


def templates() -> jinja2.Environment:
    """Return the templates; whatever they print is escaped."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(PARTS),
        autoescape=True,  # by default nothing is, and by a file's name `.j2` is not
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )


def render(board: Board, browser: Sequence[Mapping[str, Any]] = ()) -> str:
    """Return the page.

    Args:
        board: what it shows.
        browser: tasks of the query browser, as `shards.write_shards` returns them.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    css, script = _part("style.css"), _part("page.js")
    policy = (
        f"default-src 'none'; style-src {_hash(css)}; img-src data:; "
        f"script-src 'self' {_hash(script)}; base-uri 'none'; form-action 'none'"
    )
    return (
        templates()
        .get_template("index.html.j2")
        .render(
            csp=policy,
            css=Markup(css),
            script=Markup(script),
            setup=Markup(script_json({"tasks": list(browser)})),
            board=board,
            board_sha256=files.sha256_bytes(board_json(board)),
            stats=stats_view(board),
            kinds=KINDS,
            has_bibtex=any(row.bibtex for suite in board.suites for row in suite.rows),
            suites=[suite_view(suite) for suite in board.suites],
            matrices=[matrix_view(matrix, board) for matrix in board.matrices],
            charts=charts_of(board.suites),
            browser={"tasks": list(browser)},
            terms=terms_view(board),
        )
    )


def board_json(board: Board) -> bytes:
    """Return `board.json`: canonical, ending in a line feed."""
    return files.canonical_json(board.as_json()).encode() + b"\n"


def _part(name: str) -> str:
    text = (PARTS / name).read_text(encoding="utf-8")
    if "</" in text.replace("</svg", ""):
        raise ValueError(f"{name} could end its own element")
    return text


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
