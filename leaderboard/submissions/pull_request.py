"""A pull request as data: what it changes, and whether that is exactly one sound new entry.

Owns how its files are reached. They are never checked out: git lists their modes and sizes, and
only blobs that may belong to an entry are written, into an empty folder, under names that were
checked. Nothing of the pull request is run, and no name in it becomes a path before it is known to
be harmless.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...benchmark import files
from ...benchmark.errors import IntegrityError, MissingPartError, UsageError
from .findings import Finding, worst_exit_code
from .folders import (
    ENTRY,
    MAX_ENTRY_BYTES,
    MAX_FILES,
    MAX_JSON_BYTES,
    MAX_NOTES_BYTES,
    MAX_RUN_BYTES,
    NOTES,
    RUN_FILE,
)
from .git_objects import Change, changed_files, git
from .replies_compared import OWN_ORG, labels_of
from .schema import ENTRY_ID, FOLDER
from .validate import ROOT, check_entry

SCHEMA = "introspect-bench/pull-request/1"
"""Value of `schema` in a report."""
LANE = (
    "a submission adds the files of one new folder of submissions/ and changes nothing else; "
    "anything else is reviewed by hand"
)
"""What is said of every other pull request."""

_PLAIN = "100644"
_CAPS = {ENTRY: MAX_JSON_BYTES, NOTES: MAX_NOTES_BYTES}


def check_pull_request(
    repository: Path,
    *,
    base: str,
    head: str,
    work: Path,
    author: str | None = None,
    suite: str | None = None,
) -> dict[str, Any]:
    """Check what lies between two commits as a submission.

    Args:
        repository: a git repository that has both commits; nothing in it is changed.
        base: commit that the pull request is merged into, all digits.
        head: commit of the merge or of the pull request's branch, all digits.
        work: a folder that does not exist yet, for the entry's files.
        author: login of who opened it; an entry of another organisation is a third party's.
        suite: folder of suites, for suites that are not in the package.

    Returns:
        `lane` (`automatic` or `manual`), `ok`, `exit_code`, `head`, `entry` (as `validate` reports
        it), `labels` (copies and additive re-runs) and `findings`.

    Raises:
        UsageError: a commit is not one, or `work` exists.
        MissingPartError: git is not there or fails.
        IntegrityError: the list of changes is too long to be one entry's.
    """
    changes = changed_files(repository, base=base, head=head)
    problem = lane_problem(changes) or _taken(repository, base, changes)
    if problem is not None:
        return _report(head, lane="manual", findings=[problem])
    findings = _sizes(repository, changes)
    if findings:
        return _report(head, lane="automatic", findings=findings)
    folder = _extract(repository, base, changes, work)
    found = check_entry(folder, suite=suite)
    entry = found.as_json()
    findings = _owner(folder.name, author)
    labels = []
    if found.entry is not None and worst_exit_code(found.findings) == 0:
        labels = labels_of(found.entry, repository / ROOT, suite=suite)
    entry["findings"] = [
        row | {"file": row["file"].replace(f"{work}{os.sep}", "")} for row in entry["findings"]
    ]
    return _report(head, lane="automatic", findings=findings, entry=entry, labels=labels)


def lane_problem(changes: Sequence[Change]) -> Finding | None:
    """Say why changes are not one new entry, from paths, modes and kinds alone."""
    if not changes:
        return _finding("the pull request", "changes nothing", "one new folder")
    if len(changes) > MAX_FILES:
        return _finding("the pull request", f"changes {len(changes)} files", f"up to {MAX_FILES}")
    folders = set()
    for change in changes:
        parts = change.path.split(b"/")
        try:
            names = [part.decode("ascii") for part in parts]
        except UnicodeDecodeError:
            return _finding(change.shown, "has a name outside ASCII", "a file of an entry")
        inside = len(names) == 4 and names[0] == ROOT and FOLDER.fullmatch(names[1])
        if not inside or not ENTRY_ID.fullmatch(names[2]) or change.status != "A":
            verb = {"A": "is added", "D": "is removed"}.get(change.status, "is changed")
            return _finding(change.shown, verb, f"only new files in {ROOT}/SUITE/ENTRY/")
        if names[3] not in _CAPS and not RUN_FILE.fullmatch(names[3]):
            return _finding(change.shown, "is a file that no entry has", "<task>.jsonl")
        if change.mode != _PLAIN:
            said = f"has mode {change.mode} (a link, a submodule or executable)"
            return _finding(change.shown, said, f"mode {_PLAIN}")
        folders.add((names[1], names[2]))
    if len(folders) > 1:
        return _finding("the pull request", f"adds {len(folders)} entries", "one")
    return None


def _taken(repository: Path, base: str, changes: Sequence[Change]) -> Finding | None:
    """Refuse new files in a folder that is there already: an entry is never changed."""
    folder = changes[0].path.rsplit(b"/", 1)[0].decode("ascii")
    if git(repository, "ls-tree", "-z", base, "--", folder):
        return _finding(folder, "is somebody's entry already", "a new folder")
    return None


def _sizes(repository: Path, changes: Sequence[Change]) -> list[Finding]:
    """Look up how large the files are before any is read."""
    asked = "".join(f"{change.blob}\n" for change in changes).encode()
    answers = git(repository, "cat-file", "--batch-check", given=asked).decode().splitlines()
    findings, total = [], 0
    for change, answer in zip(changes, answers, strict=True):
        _, kind, size = (*answer.split(" "), "")[:3]
        if kind != "blob" or not size.isdecimal():
            raise MissingPartError(f"git does not have the content of {change.shown}; fetch it")
        total += int(size)
        cap = _CAPS.get(change.path.rsplit(b"/", 1)[1].decode("ascii"), MAX_RUN_BYTES)
        if int(size) > cap:
            findings.append(_finding(change.shown, f"has {size} bytes", f"at most {cap}"))
    if total > MAX_ENTRY_BYTES:
        findings.append(_finding("the entry", f"has {total} bytes", f"up to {MAX_ENTRY_BYTES}"))
    return findings


def _extract(repository: Path, base: str, changes: Sequence[Change], work: Path) -> Path:
    """Write the entry's files, and empty folders for the entries beside it; return its folder."""
    _, suite, name, _ = changes[0].path.decode("ascii").split("/")
    beside = work / ROOT / suite
    try:
        work.mkdir(parents=True)
    except FileExistsError as error:
        raise UsageError(f"{work} exists; name a new folder") from error
    listed = git(repository, "ls-tree", "-z", "--name-only", base, "--", f"{ROOT}/{suite}/")
    for path in listed.split(b"\0"):
        sibling = path.rsplit(b"/", 1)[-1].decode("ascii", "replace")
        if ENTRY_ID.fullmatch(sibling):
            (beside / sibling).mkdir(parents=True, exist_ok=True)
    folder = beside / name
    for change in changes:
        content = git(repository, "cat-file", "blob", change.blob, limit=MAX_RUN_BYTES + 1)
        target = folder / change.path.rsplit(b"/", 1)[1].decode("ascii")
        if not target.resolve().is_relative_to(work.resolve()):
            raise IntegrityError(f"{change.shown} leads out of its folder")
        files.write_bytes_atomic(target, content)
    return folder


def _owner(identifier: str, author: str | None) -> list[Finding]:
    match = ENTRY_ID.fullmatch(identifier)
    org = match["org"] if match else ""
    if org == OWN_ORG:
        return [_finding(identifier, "is named as the benchmark's own", "your organisation")]
    if author is not None and author.lower() != org:
        return [
            _finding(
                identifier,
                f"comes from {author[:60]!r}, not from {org}: it is marked a third party's "
                "unless a reviewer knows better",
                "an author of the same name",
                level="warning",
            )
        ]
    return []


def _report(
    head: str,
    *,
    lane: str,
    findings: Sequence[Finding],
    entry: dict[str, Any] | None = None,
    labels: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    inner = [Finding(**row) for row in entry["findings"]] if entry else []
    code = worst_exit_code([*findings, *inner])
    return {
        "schema": SCHEMA,
        "head": head,
        "lane": lane,
        "ok": code == 0,
        "exit_code": code,
        "entry": entry,
        "labels": list(labels),
        "findings": [finding.as_json() for finding in findings],
    }


def _finding(file: str, found: str, expected: str, *, level: Any = "error") -> Finding:
    return Finding(
        file=file, line=None, found=found, expected=expected, fix=LANE, level=level, exit_code=1
    )
