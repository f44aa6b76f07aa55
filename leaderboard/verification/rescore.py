"""All entries scored again, beside the scores of the last board: every change must be explained.

Owns what explains a change: the entry is new or was withdrawn, or the ledger says that it was
scored again and why, with the hashes of its files and of the scores that are meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...benchmark import files
from ...benchmark.errors import IntegrityError
from ..submissions.findings import Finding
from ..submissions.validate import SCHEMA, validate_all
from .ledger import Line, read_ledger


def rescore(
    root: Path, *, ledger: Path, before: Path | None = None, suite: str | None = None
) -> tuple[dict[str, Any], list[Finding]]:
    """Score all entries again and compare them with an earlier report.

    Args:
        root: the folder of all entries.
        ledger: the ledger.
        before: the report of the last board, as this function returned it.
        suite: folder of suites, for suites that are not in the package.

    Returns:
        The report, as `validate` gives it, and a finding for each change that nothing explains.

    Raises:
        UsageError: there are no entries, or a file can't be opened.
        IntegrityError: the ledger or the earlier report is broken.
    """
    lines = read_ledger(ledger)
    report = validate_all([root], suite=suite)
    if before is None:
        return report, []
    earlier = files.read_json(before)
    if earlier.get("schema") != SCHEMA or not isinstance(earlier.get("entries"), list):
        raise IntegrityError(f"{before}: not a report of scores")
    return report, unexplained(earlier["entries"], report["entries"], lines)


def unexplained(
    before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]], lines: Sequence[Line]
) -> list[Finding]:
    """Return a finding for each entry whose files or scores changed, or that is gone, unexplained.

    Args:
        before: entries of the earlier report.
        now: entries of this report.
        lines: the ledger.
    """
    findings = []
    current = {str(entry["entry"]): entry for entry in now}
    for old in before:
        name = str(old["entry"])
        new = current.get(name)
        if new is None:
            if not any(line.entry == name and line.event == "withdraw" for line in lines):
                findings.append(_finding(name, "is gone", "a line `withdraw` in the ledger"))
            continue
        changed = [what for what in ("sha256", "scores") if old[what] != new[what]]
        if changed and not _explained(lines, name, new):
            what = "its files" if "sha256" in changed else "its scores"
            findings.append(
                _finding(name, f"{what} changed", "a line `rescore` in the ledger that says why")
            )
    return findings


def scores_sha256(scores: Sequence[Mapping[str, Any]]) -> str:
    """Return the hash by which a line of the ledger names the scores it explains."""
    return files.sha256_bytes(files.canonical_json(list(scores)).encode())


def _explained(lines: Sequence[Line], name: str, new: Mapping[str, Any]) -> bool:
    """Whether a line is about these files with these scores; one about earlier ones is not."""
    wanted = scores_sha256(new["scores"])
    return any(
        line.entry == name
        and line.event == "rescore"
        and line.entry_sha256 == new["sha256"]
        and line.details.get("scores_sha256") == wanted
        for line in lines
    )


def _finding(entry: str, found: str, expected: str) -> Finding:
    return Finding(
        file=entry,
        line=None,
        found=f"{found} since the last board",
        expected=expected,
        fix="find out what changed it, or write down why it is right",
        exit_code=1,
    )
