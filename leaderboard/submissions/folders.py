"""What may lie in `submissions/`: names, kinds and sizes of files, looked up before any is opened.

Owns the limits of an entry. No path is built from what a file says, no link is followed.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from ...benchmark.errors import UsageError
from .findings import Finding
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
MAX_ENTRIES = 2_000
"""Most entries of a suite, and most suites."""
LISTED = ("README.md", LEDGER)
"""Files that lie beside the suites' folders."""

_EXECUTABLE = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH


def members(folder: Path) -> Iterator[Path | Finding]:
    """Yield what a folder holds in the order of names, or a finding if there is too much.

    Raises:
        UsageError: there is no such folder.
    """
    limit = MAX_FILES if ENTRY_ID.fullmatch(folder.absolute().name) else MAX_ENTRIES
    names = []
    try:
        with os.scandir(folder) as found:
            for one in found:
                names.append(one.name)
                if len(names) > limit:
                    yield finding(
                        folder, f"more than {limit} files", f"at most {limit}", "submit fewer"
                    )
                    return
    except OSError as error:
        raise UsageError(f"cannot read {folder}: {error.strerror}; check the path") from error
    for name in sorted(names):
        yield folder / name


def folder_problem(folder: Path) -> Finding | None:
    """Say what is wrong with the folder of a suite or an entry, from its name and kind.

    Raises:
        UsageError: there is no such folder.
    """
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
            "let `introspect-bench submit` write the folder",
        )
    return None


def file_problem(path: Path) -> tuple[Finding | None, int]:
    """Return what is wrong with a file of an entry, and how large it is; opens nothing."""
    found = path.lstat()
    name = path.name
    caps = {ENTRY: MAX_JSON_BYTES, NOTES: MAX_NOTES_BYTES}
    cap = caps.get(name, MAX_RUN_BYTES)
    if name not in caps and not RUN_FILE.fullmatch(name):
        known = f"{ENTRY}, {NOTES} and <task>.jsonl"
        return finding(path, "a file that no entry has", known, "remove it"), 0
    if not stat.S_ISREG(found.st_mode):
        return finding(path, "a link, folder or device", "a file", "remove it"), 0
    if found.st_mode & _EXECUTABLE:
        return finding(path, "executable", "no execute bit", "chmod a-x it"), found.st_size
    if found.st_size > cap:
        said = f"{found.st_size} bytes"
        return finding(path, said, f"at most {cap}", "let explainers reply in fewer words"), 0
    return None, found.st_size


def finding(path: Path, found: str, expected: str, fix: str) -> Finding:
    """Return a finding about a whole file or folder."""
    return Finding(file=str(path), line=None, found=found, expected=expected, fix=fix)
