"""What Windows does otherwise, as far as stubs can show it: it was not tried there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import header, row

from introspect_bench.benchmark import files
from introspect_bench.benchmark.models import fetch
from introspect_bench.benchmark.runs.writer import open_run

O_BINARY = 0x8000
"""Windows' value; no flag that Linux or macOS gives `open` a meaning for is stubbed by it."""


def test_a_system_that_opens_no_folders_still_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = os.open

    def as_windows(path: Any, flags: int, *more: Any, **rest: Any) -> int:
        if Path(path).is_dir():
            raise PermissionError(13, "Permission denied", str(path))
        return really(path, flags, *more, **rest)

    monkeypatch.delattr(os, "O_DIRECTORY")
    monkeypatch.setattr(os, "open", as_windows)
    files.write_json_atomic(tmp_path / "x.json", {"a": 1})
    assert (tmp_path / "x.json").read_bytes() == b'{"a":1}\n'


def test_a_run_file_is_opened_as_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As text its line feeds would become two bytes each there, and its hashes wrong."""
    really, seen = os.open, []

    def spy(path: Any, flags: int, *more: Any, **rest: Any) -> int:
        if str(path).endswith("run.jsonl"):
            seen.append(flags)
        return really(path, flags & ~O_BINARY, *more, **rest)

    monkeypatch.setattr(os, "O_BINARY", O_BINARY, raising=False)
    monkeypatch.setattr(os, "open", spy)
    with open_run(tmp_path / "run.jsonl", header()) as writer:
        writer.append([row(0)])
    assert seen
    assert all(flags & O_BINARY for flags in seen)


def test_only_files_open_for_writing_are_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"1")
    synced = []

    def as_windows(descriptor: int) -> None:
        os.write(descriptor, b"")  # EBADF without the right to write
        synced.append(descriptor)

    monkeypatch.setattr(os, "fsync", as_windows)
    fetch._sync(tmp_path)
    assert len(synced) == 1
    assert (tmp_path / "a").read_bytes() == b"1"
