"""The place in a page where a table of results belongs.

Owns the markers; the table itself is `tables.py`'s.
"""

from __future__ import annotations

from pathlib import Path

from .. import files
from ..errors import IntegrityError

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
"""Markers between which `write_results` writes."""


def write_results(readme: Path, text: str) -> None:
    """Write text between the results markers of a file.

    Raises:
        UsageError: the file can't be opened.
        IntegrityError: it is not UTF-8, or does not have each marker once, in order.
        MissingPartError: it can't be written.
    """
    with files.open_regular(readme) as stream:
        data = stream.read()
    try:
        page = data.decode()
    except UnicodeDecodeError as error:
        raise IntegrityError(f"{readme}: not UTF-8 at byte {error.start}") from error
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in tail or END in head:
        raise IntegrityError(f"{readme}: expected {BEGIN} and {END} once each, in this order")
    new = f"{head}{BEGIN}\n\n{text.strip()}\n\n{END}{tail}"
    files.write_bytes_atomic(readme, new.encode())
