"""What may lie in `submissions/`: names, kinds and sizes of files, looked up before any is opened.

No path is built from what a file says, no link is followed.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from ...benchmark.errors import UsageError
from .findings import Finding, finding
from .schema import ENTRY_ID, FOLDER

ENTRY, NOTES, LEDGER = "entry.json", "NOTES.md", "ledger.jsonl"
"""Names of files that are no run files."""
RUN_FILE = re.compile(r"[a-z0-9][a-z0-9-]{0,60}\.jsonl")
"""Names of run files: the task's name."""
MAX_FILES = 40
"""Most files in an entry."""
MAX_RUN_BYTES = 10_000_000
"""Largest run file in an entry."""
MAX_ENTRY_BYTES = 40_000_000
"""Most bytes in an entry."""
MAX_JSON_BYTES = 32_000
"""Largest `entry.json`."""
MAX_NOTES_BYTES = 20_000
"""Largest `NOTES.md`."""
CAPS = {ENTRY: MAX_JSON_BYTES, NOTES: MAX_NOTES_BYTES}
"""Largest size, in bytes, of the files that are no run files."""
MAX_ENTRIES = 2_000
"""Most entries of a suite, and most suites."""
LISTED = ("README.md", LEDGER)
"""Files that lie beside the suites' folders."""

WRITE_FOLDER = "let `introspect-bench submit` write the folder"
"""Advice about a folder's name or fields."""

_EXECUTABLE = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH


def members(folder: Path) -> Iterator[Path | Finding]:
    """Yield what a folder holds in the order of names, or a finding if there is too much."""
    limit = MAX_FILES if ENTRY_ID.fullmatch(folder.absolute().name) else MAX_ENTRIES
    try:
        with os.scandir(folder) as scanned:
            names = [entry.name for entry in islice(scanned, limit + 1)]
    except OSError as error:
        raise UsageError(f"cannot read {folder}: {error.strerror}; check the path") from error
    if len(names) > limit:
        yield finding(folder, f"more than {limit} files", f"at most {limit}", "submit fewer")
        return
    yield from (folder / name for name in sorted(names))


def folder_problem(folder: Path) -> Finding | None:
    """Say what is wrong with the folder of a suite or an entry, from its name and kind."""
    try:
        mode = folder.lstat().st_mode
    except OSError as error:
        raise UsageError(f"cannot read {folder}: {error.strerror}; check the path") from error
    if not stat.S_ISDIR(mode):
        return finding(folder, "not a folder, or a link", "a folder", "remove it")
    if not FOLDER.fullmatch(folder.absolute().name):
        return finding(
            folder,
            "the folder's name holds more than lower-case letters, digits and ._-",
            "a name of at most 81 such characters",
            WRITE_FOLDER,
        )
    return None


def file_problem(path: Path) -> tuple[Finding | None, int]:
    """Return what is wrong with a file of an entry, and how large it is; opens nothing."""
    status, name = path.lstat(), path.name
    size, cap = status.st_size, CAPS.get(name, MAX_RUN_BYTES)
    if name not in CAPS and not RUN_FILE.fullmatch(name):
        known = f"{ENTRY}, {NOTES} and <task>.jsonl"
        return finding(path, "a file that no entry has", known, "remove it"), 0
    if not stat.S_ISREG(status.st_mode):
        return finding(path, "a link, folder or device", "a file", "remove it"), 0
    if status.st_mode & _EXECUTABLE:
        return finding(path, "executable", "no execute bit", "chmod a-x it"), size
    if size > cap:
        fix = "let explainers reply in fewer words"
        return finding(path, f"{size} bytes", f"at most {cap}", fix), 0
    return None, size
