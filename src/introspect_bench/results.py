"""Tables of scored runs, and the place in a page where they belong.

Owns the markers; the table itself is `leaderboard.table`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from introspect_bench.api import score
from introspect_bench.benchmark import files
from introspect_bench.benchmark.errors import IntegrityError
from introspect_bench.leaderboard import table

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
"""Markers between which `write_results` writes."""


def leaderboard_table(paths: Sequence[Path | str], *, suite: str | None = None) -> str:
    """Score run files and return one Markdown table a task and split."""
    return table.markdown([score(path, suite=suite) for path in paths])


def write_results(readme: Path, text: str) -> None:
    """Write text between the results markers of a file.

    Raises:
        UsageError: the file can't be opened.
        IntegrityError: it does not have each marker once, in order.
        MissingPartError: it can't be written.
    """
    with files.open_regular(readme) as stream:
        page = stream.read().decode()
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in tail or END in head:
        raise IntegrityError(f"{readme}: expected {BEGIN} and {END} once each, in this order")
    new = f"{head}{BEGIN}\n\n{text.strip()}\n\n{END}{tail}"
    files.write_bytes_atomic(readme, new.encode())
