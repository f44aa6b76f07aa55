"""A pull request as data: what it changes, and whether that is exactly one sound new entry.

Its files are never checked out: git lists modes and sizes, and only blobs that may belong to an
entry are written, into an empty folder, under names that were checked. Nothing of it is run.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

from ...benchmark import files
from ...benchmark.errors import IntegrityError, MissingPartError, UsageError
from .comment import SCHEMA
from .copies import OWN_ORG, labels_of
from .entries import CAPS, MAX_ENTRY_BYTES, MAX_FILES, MAX_RUN_BYTES, RUN_FILE, inspect_entry
from .findings import Finding, worst_exit_code
from .schema import ENTRY_ID, FOLDER, org_of
from .validate import ROOT, check_entry

LANE = (
    "a submission adds the files of one new folder of submissions/ and changes nothing else; "
    "anything else is reviewed by hand"
)
"""What is said of every other pull request."""
_PLAIN = "100644"
MAX_LISTING_BYTES = 1 << 20  # longest list of changed files that is read

_COMMIT = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_RAW = re.compile(rb":([0-7]{6}) ([0-7]{6}) ([0-9a-f]{40,64}) ([0-9a-f]{40,64}) ([A-Z])[0-9]*")
_GIT_SECONDS = 60
_GIT_SETTINGS = {
    **{"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull},
    **{"GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_REPLACE_OBJECTS": "1"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One file that a pull request changes."""

    path: bytes  # its path; any bytes but zero
    status: str  # `A` for a new file; git's letter for anything else
    mode: str  # its mode afterwards, such as `100644`
    blob: str  # hash of its content afterwards

    @property
    def name(self) -> str:
        """The file's name, of a path that was checked."""
        return self.path.rsplit(b"/", 1)[1].decode("ascii")

    @property
    def shown(self) -> str:
        """The path in ASCII, for people."""
        return self.path.decode("latin-1").encode("unicode_escape").decode("ascii")[:300]


def changed_files(repository: Path, *, base: str, head: str) -> list[Change]:
    """List what differs between two commits: modes, hashes and paths, byte for byte."""
    for commit in (base, head):
        if not _COMMIT.fullmatch(commit):
            raise UsageError(f"{commit[:80]!r} is not a commit; give all its digits")
    listed = git(
        repository, "diff-tree", "-r", "-z", "--raw", "--no-renames", "--full-index", base, head
    )
    changes = []
    parts = iter(listed.split(b"\0"))
    for raw in parts:
        if not raw:
            continue
        match = _RAW.fullmatch(raw)
        if match is None:
            raise IntegrityError("git lists the changes in a way that is not understood")
        _, mode, _, blob, status = (group.decode() for group in match.groups())
        changes.append(Change(path=next(parts), status=status, mode=mode, blob=blob))
    return changes


def git(repository: Path, *words: str, given: bytes = b"", limit: int | None = None) -> bytes:
    """Return what git prints; nothing of the user's settings or hooks counts.

    `given` is the standard input; more than `limit` bytes, or `MAX_LISTING_BYTES`, are an error.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    command = ["git", "--literal-pathspecs", "-C", str(repository), *words]
    try:
        with subprocess.Popen(
            command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=kept | _GIT_SETTINGS
        ) as running:
            assert running.stdin is not None
            assert running.stdout is not None
            running.stdin.write(given)
            running.stdin.close()
            most = MAX_LISTING_BYTES if limit is None else limit
            said = running.stdout.read(most + 1)
            if len(said) > most:
                running.kill()
                raise IntegrityError(f"`git {words[0]}` says more than {most} bytes")
            running.stdout.close()
            code = running.wait(_GIT_SECONDS)
    except (FileNotFoundError, BrokenPipeError, subprocess.TimeoutExpired) as error:
        raise MissingPartError(f"git is missing or does not end: {error}") from error
    if code != 0:
        raise MissingPartError(f"`git {words[0]}` failed; are both commits fetched?")
    return said


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

    `base` is what it is merged into, `head` the merge or its branch, both with all digits; nothing
    in the repository is changed. `work` is a folder that does not exist yet, for the entry's files;
    `author` who opened it: an entry of another organisation is a third party's.

    The report holds `lane` (`automatic` or `manual`), `ok`, `exit_code`, `head`, `entry` (as
    `validate` reports it), `labels` (copies and additive re-runs) and `findings`.
    """
    changes = changed_files(repository, base=base, head=head)
    problem = lane_problem(changes) or _taken(repository, base, changes)
    if problem is not None:
        return _report(head, lane="manual", findings=[problem])
    findings = _sizes(repository, changes)
    if findings:
        return _report(head, lane="automatic", findings=findings)
    folder = _extract(repository, base, changes, work)
    checked = check_entry(folder, suite=suite)
    labels = []
    if checked.entry is not None and worst_exit_code(checked.findings) == 0:
        labels = labels_of(checked.entry, repository / ROOT, suite=suite)
    entry = checked.as_json()
    entry["findings"] = [
        row | {"file": row["file"].replace(f"{work}{os.sep}", "")} for row in entry["findings"]
    ]
    findings = _owner(folder.name, author)
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
        if names[3] not in CAPS and not RUN_FILE.fullmatch(names[3]):
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
        cap = CAPS.get(change.name, MAX_RUN_BYTES)
        if int(size) > cap:
            findings.append(_finding(change.shown, f"has {size} bytes", f"at most {cap}"))
    if total > MAX_ENTRY_BYTES:
        findings.append(_finding("the entry", f"has {total} bytes", f"up to {MAX_ENTRY_BYTES}"))
    return findings


def _extract(repository: Path, base: str, changes: Sequence[Change], work: Path) -> Path:
    _, suite, name, _ = changes[0].path.decode("ascii").split("/")
    beside = work / ROOT / suite
    try:
        work.mkdir(parents=True)
    except FileExistsError as error:
        raise UsageError(f"{work} exists; name a new folder") from error
    listed = git(repository, "ls-tree", "-z", "--name-only", base, "--", f"{ROOT}/{suite}/")
    names = (path.rsplit(b"/", 1)[-1].decode("ascii", "replace") for path in listed.split(b"\0"))
    for sibling in filter(ENTRY_ID.fullmatch, names):
        (beside / sibling).mkdir(parents=True, exist_ok=True)
    folder = beside / name
    for change in changes:
        content = git(repository, "cat-file", "blob", change.blob, limit=MAX_RUN_BYTES + 1)
        target = folder / change.name
        if not target.resolve().is_relative_to(work.resolve()):
            raise IntegrityError(f"{change.shown} leads out of its folder")
        files.write_bytes_atomic(target, content)
    entry, _ = inspect_entry(folder)
    if entry is not None and entry.fields.vector_use is not None:
        _extract_control(repository, base, beside / entry.fields.vector_use)
    return folder


def _extract_control(repository: Path, base: str, place: Path) -> None:
    """Write the run files of an entry that is there already, whose folder is an empty one."""
    if not place.is_dir() or any(place.iterdir()):
        return
    listed = git(
        repository, "ls-tree", "-z", base, "--", f"{ROOT}/{place.parent.name}/{place.name}/"
    )
    for line in filter(None, listed.split(b"\0")):
        said, _, path = line.partition(b"\t")
        name = path.rsplit(b"/", 1)[-1].decode("ascii", "replace")
        if RUN_FILE.fullmatch(name) and said.startswith(_PLAIN.encode()):
            blob = said.split(b" ")[2].decode()
            content = git(repository, "cat-file", "blob", blob, limit=MAX_RUN_BYTES + 1)
            files.write_bytes_atomic(place / name, content)


def _owner(identifier: str, author: str | None) -> list[Finding]:
    org = org_of(identifier)
    if org == OWN_ORG:
        return [_finding(identifier, "is named as the benchmark's own", "your organisation")]
    if author is None or author.lower() == org:
        return []
    said = (
        f"comes from {author[:60]!r}, not from {org}: it is marked a third party's unless a "
        "reviewer knows better"
    )
    return [replace(_finding(identifier, said, "an author of the same name"), level="warning")]


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


def _finding(file: str, found: str, expected: str) -> Finding:
    return Finding(file=file, found=found, expected=expected, fix=LANE, exit_code=1)
