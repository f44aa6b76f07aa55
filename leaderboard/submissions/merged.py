"""In which order entries were merged: from git, or from the ledger; no date in a file counts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from ...benchmark.errors import IntegrityError, MissingPartError
from ..verification.ledger import Line
from .entries import ENTRY
from .pull_request import git

MAX_LOG_BYTES = 64 << 20


def merge_order(root: Path, lines: Sequence[Line], ids: Collection[str]) -> Mapping[str, int]:
    """Return a number by entry: the lower came first, equal ones are not known to differ.

    It is the merge that brought an entry, along the first parents of what is checked out, and what
    is not committed is newest. Where git knows no entry, the lines `accept` of the ledger count,
    and if one entry lacks its line, nothing is known.
    """
    found = _commits(root)
    if not found:
        found = {line.entry: line.number for line in reversed(lines) if line.event == "accept"}
        found = found if found.keys() >= set(ids) else {}
    last = max(found.values(), default=0) + 1
    return {one: found.get(one, last) for one in ids}


def _commits(root: Path) -> dict[str, int]:
    """Return the number of the merge that added each entry, oldest first."""
    words = "--first-parent -m --reverse --diff-filter=A --no-renames --relative --name-only"
    try:
        listed = git(root, "log", *words.split(), "--format=%x01", "-z", limit=MAX_LOG_BYTES)
    except (MissingPartError, IntegrityError):  # no repository, or a listing that is cut
        return {}
    found: dict[str, int] = {}
    for number, commit in enumerate(listed.decode("utf-8", "replace").split("\x01")):
        for path in commit.replace("\n", "\0").split("\0"):
            parts = path.split("/")
            if len(parts) == 3 and parts[2] == ENTRY:
                found.setdefault(parts[1], number)
    return found
