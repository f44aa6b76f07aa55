"""The public ledger of submissions: what was checked, flagged or withdrawn, by whom and why.

Owns the format `introspect-bench/ledger/1`, one JSON object a line; what follows from it is
`tiers`'. The file only grows: each line holds the hash of all bytes above it, so that a line that
was changed or removed later shows in every line below.
"""

from __future__ import annotations

import datetime
import errno
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from ...benchmark import files
from ...benchmark.errors import IntegrityError
from ..submissions.schema import ENTRY_ID
from ..submissions.text_rules import name_problem, text_problem

SCHEMA = "introspect-bench/ledger/1"
"""Value of `schema` in every line."""
EVENTS = (
    "accept",
    "recheck",
    "rejudge",
    "rerun",
    "fresh",
    "flag",
    "withdraw",
    "restore",
    "rescore",
)
"""Values of `event`. `rejudge` is a recheck of judgements by the frozen judges;
`rescore` explains a change of scores by a new version of the package."""
MAX_BYTES = 16 << 20
"""Largest ledger."""

_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "schema": str,
    "date": str,
    "event": str,
    "entry": str,
    "entry_sha256": str,
    "by": str,
    "commit": (str, type(None)),
    "reason": str,
    "tasks": dict,
    "details": dict,
    "previous": str,
}
_HEX = {"entry_sha256": re.compile("[0-9a-f]{64}"), "previous": re.compile("[0-9a-f]{64}")}
_COMMIT = re.compile("[0-9a-f]{40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the ledger."""

    number: int
    """Line of the file, from 1."""
    date: str
    """Day, such as `2026-01-31`."""
    event: str
    """One of `EVENTS`."""
    entry: str
    """Id of the entry."""
    entry_sha256: str
    """Hash of the entry's files when it was looked at, see `entries.entry_sha256`."""
    by: str
    """Who did it."""
    commit: str | None
    """Commit of the repository, if there is one."""
    reason: str
    """Why, a sentence."""
    tasks: Mapping[str, tuple[int, int]]
    """Of checks: queries answered the same, and queries asked, by task."""
    details: Mapping[str, Any]
    """What else is needed to do it again, such as the nonce of a recheck."""


def read_ledger(path: Path) -> tuple[Line, ...]:
    """Read a ledger; one that does not exist is empty.

    Raises:
        UsageError: it can't be opened.
        IntegrityError: a line is wrong, or is not the one that the next was written under.
    """
    return _read(path)[0]


def append_line(
    path: Path,
    *,
    event: str,
    entry: str,
    entry_sha256: str,
    by: str,
    reason: str,
    date: str,
    commit: str | None = None,
    tasks: Mapping[str, tuple[int, int]] | None = None,
    details: Mapping[str, Any] | None = None,
) -> Line:
    """Append a line and wait until it is on disk; all that is there is read and checked first.

    Args:
        path: the ledger.
        event: one of `EVENTS`.
        entry: id of the entry.
        entry_sha256: hash of its files.
        by: who.
        reason: why.
        date: day, such as `2026-01-31`.
        commit: commit of the repository.
        tasks: of checks, `(agreed, asked)` by task.
        details: what else is needed to do it again, as JSON values.

    Raises:
        IntegrityError: the ledger is broken, or the line would be.
        MissingPartError: it can't be written.
    """
    lines, digest = _read(path)
    row = {
        "schema": SCHEMA,
        "date": date,
        "event": event,
        "entry": entry,
        "entry_sha256": entry_sha256,
        "by": by,
        "commit": commit,
        "reason": reason,
        "tasks": {name: list(pair) for name, pair in (tasks or {}).items()},
        "details": dict(details or {}),
        "previous": digest,
    }
    line = _line(row, digest, len(lines) + 1, f"{path}:{len(lines) + 1}")
    data = files.canonical_json(row).encode() + b"\n"
    try:
        with path.open("ab", buffering=0) as stream:
            size = stream.tell()
            try:
                if stream.write(data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(stream.fileno())
            except OSError:
                stream.truncate(size)  # half a line would break the whole ledger
                raise
    except OSError as error:
        raise files.write_error(path, error) from error
    return line


def _read(path: Path) -> tuple[tuple[Line, ...], str]:
    """Return the lines, and the hash of all bytes."""
    digest = sha256()
    lines: list[Line] = []
    if not path.exists() and not path.is_symlink():
        return (), digest.hexdigest()
    with files.open_regular(path) as stream:
        if path.stat().st_size > MAX_BYTES:
            raise IntegrityError(f"{path}: a ledger has at most {MAX_BYTES} bytes")
        for number, data in files.iter_lines(stream, str(path)):
            where = f"{path}:{number}"
            if not data.endswith(b"\n"):
                raise IntegrityError(f"{where}: the line has no end")
            row = files.parse_object(data, where)
            lines.append(_line(row, digest.hexdigest(), number, where))
            digest.update(data)
    return tuple(lines), digest.hexdigest()


def _line(row: Mapping[str, Any], digest: str, number: int, where: str) -> Line:
    """Check one line."""
    for name, kinds in _FIELDS.items():
        if not isinstance(row.get(name, ...), kinds):
            raise IntegrityError(f"{where}: field {name} is missing or of the wrong type")
    if unknown := sorted(row.keys() - _FIELDS.keys()):
        raise IntegrityError(f"{where}: field {unknown[0][:80]} is not one of a ledger")
    if row["schema"] != SCHEMA or row["event"] not in EVENTS:
        raise IntegrityError(f"{where}: field schema or event is unknown")
    for name, pattern in _HEX.items():
        if not pattern.fullmatch(row[name]):
            raise IntegrityError(f"{where}: field {name} is not 64 hexadecimal digits")
    if row["commit"] is not None and not _COMMIT.fullmatch(row["commit"]):
        raise IntegrityError(f"{where}: field commit is not 40 hexadecimal digits")
    if not ENTRY_ID.fullmatch(row["entry"]):
        raise IntegrityError(f"{where}: field entry is not the id of an entry")
    if problem := name_problem(row["by"], max_chars=60):
        raise IntegrityError(f"{where}: field by {problem}")
    if problem := text_problem(row["reason"], max_chars=500):
        raise IntegrityError(f"{where}: field reason {problem}")
    if row["previous"] != digest:
        raise IntegrityError(
            f"{where}: a line above was changed: its bytes hash to {digest}, not to what this line "
            "was written under; restore the file from git"
        )
    return Line(
        number=number,
        tasks=_tasks(row["tasks"], where),
        date=_date(row["date"], where),
        **{
            name: row[name]
            for name in ("event", "entry", "entry_sha256", "by", "commit", "reason", "details")
        },
    )


def _date(text: str, where: str) -> str:
    try:
        datetime.date.fromisoformat(text)
    except ValueError as error:
        raise IntegrityError(f"{where}: field date is not a day such as 2026-01-31") from error
    return text


def _tasks(value: Mapping[str, Any], where: str) -> dict[str, tuple[int, int]]:
    found = {}
    for name, pair in value.items():
        whole = isinstance(pair, list) and len(pair) == 2 and all(type(n) is int for n in pair)
        if not whole or not 0 <= pair[0] <= pair[1] or pair[1] == 0:
            raise IntegrityError(f"{where}: field tasks.{name[:80]} is not [agreed, asked]")
        found[name] = (pair[0], pair[1])
    return found
