"""The ledger as maintainers keep it: what it says, and a line added to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from introspect_bench.benchmark.errors import UsageError
from introspect_bench.leaderboard.submissions.findings import raise_worst
from introspect_bench.leaderboard.submissions.validate import check_entry
from introspect_bench.leaderboard.verification.ledger import append_line, read_ledger
from introspect_bench.leaderboard.verification.rescore import scores_sha256

BY_HAND = ("accept", "flag", "withdraw", "restore", "rescore")
"""Events that a person adds; checks are added by what checks."""


def ledger_show(ledger: Path | str, *, entry: str | None = None) -> list[dict[str, Any]]:
    """Return the lines of a ledger, oldest first."""
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
    """Append what a person decided about an entry."""
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
