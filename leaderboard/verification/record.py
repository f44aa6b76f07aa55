"""The ledger as maintainers keep it: its lines, one added, and what no line explains.

A change of scores since the last board is explained if the entry is new or was withdrawn, or if the
ledger says why, with the hashes of its files and of the scores that are meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...benchmark import files
from ...benchmark.errors import IntegrityError, UsageError
from ..submissions.findings import Finding, raise_worst
from ..submissions.validate import SCHEMA, check_entry, validate_all
from .ledger import BY_HAND, Line, append_line, read_ledger


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
    """Append what a person decided about an entry, which must be sound; `event` is of `BY_HAND`."""
    if event not in BY_HAND:
        raise UsageError(f"unknown event {event!r}: choose from {', '.join(BY_HAND)}")
    checked = check_entry(Path(entry), suite=suite)
    raise_worst(checked.findings)
    report = checked.as_json()
    line = Line(
        event=event,
        entry=report["entry"],
        entry_sha256=report["sha256"],
        by=by,
        reason=reason,
        commit=commit,
        details={"scores_sha256": scores_sha256(report["scores"])} if event == "rescore" else {},
    )
    return asdict(append_line(Path(ledger), line))


def rescore(
    root: Path, *, ledger: Path, before: Path | None = None, suite: str | None = None
) -> tuple[dict[str, Any], list[Finding]]:
    """Score all entries again and compare them with an earlier report."""
    lines = read_ledger(ledger)
    report = validate_all([root], suite=suite)
    if before is None:
        return report, []
    earlier = files.read_json(before)
    if earlier.get("schema") != SCHEMA or not isinstance(earlier.get("entries"), list):
        raise IntegrityError(f"{before}: not a report of scores")
    with files.reading(before, "a report of scores"):
        return report, unexplained(earlier["entries"], report["entries"], lines)


def unexplained(
    before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]], lines: Sequence[Line]
) -> list[Finding]:
    """Return a finding for each entry that changed or is gone without a line that explains it."""
    findings = []
    current = {str(entry["entry"]): entry for entry in now}
    for old in before:
        name = str(old["entry"])
        own, new = [line for line in lines if line.entry == name], current.get(name)
        if new is None:
            if not any(line.event == "withdraw" for line in own):
                findings.append(_finding(name, "is gone", "a line `withdraw` in the ledger"))
        elif not _explained(own, old, new):
            what = "its files" if old["sha256"] != new["sha256"] else "its scores"
            expected = "a line `rescore` in the ledger that says why"
            findings.append(_finding(name, f"{what} changed", expected))
    return findings


def scores_sha256(scores: Sequence[Mapping[str, Any]]) -> str:
    """Return the hash by which a line of the ledger names the scores it explains."""
    return files.sha256_bytes(files.canonical_json(list(scores)).encode())


def _explained(lines: Sequence[Line], old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    if all(old[what] == new[what] for what in ("sha256", "scores")):
        return True
    wanted = (new["sha256"], scores_sha256(new["scores"]))
    rescored = (line for line in lines if line.event == "rescore")
    return any(
        (line.entry_sha256, line.details.get("scores_sha256")) == wanted for line in rescored
    )


def _finding(entry: str, found: str, expected: str) -> Finding:
    return Finding(
        file=entry,
        found=f"{found} since the last board",
        expected=expected,
        fix="find out what changed it, or write down why it is right",
        exit_code=1,
    )
