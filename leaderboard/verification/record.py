"""The ledger as maintainers keep it: what it says, and a line added to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ...benchmark.errors import UsageError
from ..submissions.findings import raise_worst
from ..submissions.validate import check_entry
from .ledger import append_line, read_ledger
from .rescore import scores_sha256

BY_HAND = ("accept", "flag", "withdraw", "restore", "rescore")
"""Events that a person adds; checks are added by what checks."""


def ledger_show(ledger: Path | str, *, entry: str | None = None) -> list[dict[str, Any]]:
    """Return the lines of a ledger, oldest first.

    Args:
        ledger: the file.
        entry: only lines about the entry with this id.

    Raises:
        UsageError: it can't be opened.
        IntegrityError: a line is wrong, or was changed after it was written.
    """
    lines = read_ledger(Path(ledger))
    return [asdict(line) for line in lines if entry in (None, line.entry)]


def ledger_add(
    entry: Path | str,
    *,
    event: str,
    reason: str,
    by: str,
    ledger: Path | str = Path("submissions/ledger.jsonl"),
    commit: str | None = None,
    suite: str | None = None,
) -> dict[str, Any]:
    """Append what a person decided about an entry.

    Args:
        entry: the entry's folder, which must be sound.
        event: one of `BY_HAND`; `rescore` also records which scores it explains.
        reason: why, a sentence.
        by: who decided.
        ledger: the file.
        commit: commit of the repository that it is about.
        suite: folder of suites, for suites that are not in the package.

    Raises:
        UsageError: unknown event, or no such entry.
        IntegrityError: the ledger or the entry is broken, or a text is not allowed.
        MissingPartError: the ledger can't be written.
    """
    if event not in BY_HAND:
        raise UsageError(f"unknown event {event!r}: choose from {', '.join(BY_HAND)}")
    found = check_entry(Path(entry), suite=suite)
    raise_worst(found.findings)
    report = found.as_json()
    details: Mapping[str, Any] = (
        {"scores_sha256": scores_sha256(report["scores"])} if event == "rescore" else {}
    )
    line = append_line(
        Path(ledger),
        event=event,
        entry=report["entry"],
        entry_sha256=report["sha256"],
        by=by,
        reason=reason,
        date=datetime.now(UTC).date().isoformat(),
        commit=commit,
        details=details,
    )
    return asdict(line)
