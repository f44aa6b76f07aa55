"""The place in a page where a table of results belongs."""

from __future__ import annotations

from pathlib import Path

from introspect_bench.benchmark import files
from introspect_bench.benchmark.errors import IntegrityError

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"


def write_results(readme: Path, text: str) -> None:
    """Write text between the results markers of a file, which has each once, in order."""
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
