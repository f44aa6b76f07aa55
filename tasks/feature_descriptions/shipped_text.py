"""Text that a named target wrote, as shipped with the package: a build need not sample it again.

An archive holds finished batches of `sampling.py`, one line of gzipped JSON each, under the names
they have in a work folder. A name holds a hash of weights, settings and requests, so a batch that
does not fit a build is never used by it.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Container
from pathlib import Path

from ...benchmark.errors import IntegrityError, UsageError
from ...benchmark.files import canonical_json, write_bytes_atomic

FOLDER = Path(__file__).parent / "text"
"""Where archives lie: `TARGET.jsonl.gz`, the text that everything is fitted on, and beside it
`TARGET.scored.jsonl.gz`, later batches, whose windows validation and test are scored on. A build
reads all and samples what it lacks."""
_DIGITS = 6  # a batch's name begins with its number, of so many digits


def pack_batches(folder: Path, archive: Path, *, numbers: Container[int] | None = None) -> int:
    """Write an archive of a folder's finished batches, or of some; returns how many.

    Equal batches give equal bytes.
    """
    paths = [
        path
        for path in sorted(folder.glob("*.json"))
        if numbers is None or int(path.name[:_DIGITS]) in numbers
    ]
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, filename="") as stream:
        for path in paths:
            row = {"name": path.name, "content": path.read_text()}
            stream.write(canonical_json(row).encode() + b"\n")
    write_bytes_atomic(archive, buffer.getvalue())
    return len(paths)


def unpack_batches(archive: Path, folder: Path) -> int:
    """Write those batches of an archive that a folder lacks; returns how many were written."""
    written = 0
    for name, content in _read(archive).items():
        if Path(name).name != name:
            raise IntegrityError(f"{archive}: {name!r} is no name of a batch")
        if not (folder / name).exists():
            write_bytes_atomic(folder / name, content.encode())
            written += 1
    return written


def shipped_texts(target: str) -> list[str]:
    """Return all texts of a target's archive, in its order."""
    archive = FOLDER / f"{target}.jsonl.gz"
    if not archive.is_file():
        raise UsageError(f"no text of target {target} ships with the package; give a text file")
    try:
        batches = [json.loads(content)["texts"] for content in _read(archive).values()]
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{archive}: not an archive of batches: {error}") from error
    return [text for texts in batches for text in texts]


def _read(archive: Path) -> dict[str, str]:
    try:
        with gzip.open(archive) as stream:
            rows = [json.loads(line) for line in stream]
        return {row["name"]: row["content"] for row in rows}
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{archive}: not an archive of batches: {error}") from error
