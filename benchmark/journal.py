"""An append-only file of finished batches, so that a long build loses nothing when it is killed.

A batch is known by a hash of what was asked of it; its rows come back exactly as they were written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from introspect_bench.benchmark.files import canonical_json, sha256_bytes


class Journal:
    """Finished batches of one stage of a build."""

    def __init__(self, path: Path) -> None:
        """Open or create a journal; a torn last line is dropped."""
        self.path = path
        self.batches: dict[str, list[Any]] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            data = path.read_bytes()
            whole = data[: data.rfind(b"\n") + 1]
            if len(whole) < len(data):
                with path.open("r+b") as file:
                    file.truncate(len(whole))
            for line in whole.splitlines():
                row = json.loads(line)
                self.batches[row["key"]] = row["rows"]

    def run(self, asked: Any, compute: Callable[[], Sequence[Any]]) -> list[Any]:
        """Rows of one batch: from the file if it was finished before, else computed and appended.

        Args:
            asked: JSON value that determines the batch's rows.
            compute: gives the rows, JSON values.
        """
        key = sha256_bytes(canonical_json(asked).encode())[:32]
        if key not in self.batches:
            rows = json.loads(canonical_json(list(compute())))
            line = canonical_json({"key": key, "rows": rows}) + "\n"
            with self.path.open("ab") as file:
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
            self.batches[key] = rows
        return self.batches[key]
