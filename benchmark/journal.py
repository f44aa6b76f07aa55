"""An append-only file of finished batches, so that a long build loses nothing when it is killed.

A batch is known by a hash of what was asked of it; its rows come back exactly as they were written.
The hash does not cover the code that measures: a folder of journals belongs to one version of it,
one model and one device, which its name must tell apart, and to one process at a time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import UsageError
from .files import canonical_json, sha256_bytes, write_error


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder of journals; a lock file is kept beside it.

    Raises:
        UsageError: another process holds it.
        MissingPartError: the lock file cannot be made.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder.with_name(f"{folder.name}.lock"))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UsageError(
            f"another process is building this suite in {folder}; wait for it to end, then run the "
            "same command again"
        ) from error
    except OSError as error:
        raise write_error(folder, error) from error
    try:
        yield
    finally:
        lock.release()


class Journal:
    """Finished batches of one stage of a build."""

    def __init__(self, path: Path) -> None:
        """Open or create a journal; a torn last line is dropped.

        Raises:
            MissingPartError: the folder cannot be made, or the file not be read or repaired.
        """
        self.path = path
        self.batches: dict[str, list[Any]] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            whole = _whole_lines(path) if path.exists() else b""
        except OSError as error:
            raise write_error(path, error) from error
        for line in whole.splitlines():
            row = json.loads(line)
            self.batches[row["key"]] = row["rows"]

    def run(self, asked: Any, compute: Callable[[], Sequence[Any]]) -> list[Any]:
        """Rows of one batch: from the file if it was finished before, else computed and appended.

        Args:
            asked: JSON value that determines the batch's rows.
            compute: gives the rows, JSON values.

        Raises:
            MissingPartError: the disk is full or the file can't be written.
        """
        key = sha256_bytes(canonical_json(asked).encode())[:32]
        if key not in self.batches:
            rows = json.loads(canonical_json(list(compute())))
            line = canonical_json({"key": key, "rows": rows}) + "\n"
            try:
                with self.path.open("ab") as file:
                    file.write(line.encode())
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                raise write_error(self.path, error) from error
            self.batches[key] = rows
        return self.batches[key]


def _whole_lines(path: Path) -> bytes:
    """The lines that end in a line feed; what is torn behind them is cut off the file."""
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    return whole
