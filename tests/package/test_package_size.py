"""What ships as data stays small enough for a package index."""

from __future__ import annotations

import zlib
from pathlib import Path

from introspect_bench import tasks

LIMIT = 60_000_000


def test_data_of_all_tasks_stays_under_sixty_megabytes_compressed() -> None:
    folder = Path(tasks.__file__).parent
    sizes = [
        len(zlib.compress(path.read_bytes()))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    assert 10_000_000 < sum(sizes) < LIMIT
