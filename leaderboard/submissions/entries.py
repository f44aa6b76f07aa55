"""Submissions on disk: one folder an entry, read as if a stranger had written it.

`submissions/<suite>/<org>__<name>__<8 hex>/` holds run files `<task>.jsonl`, `entry.json` and
optionally `NOTES.md`. Names, kinds and sizes are looked up before anything is opened; no path is
built from what a file says; nothing is executed, decompressed or followed. What is in a run file is
`benchmark/runs/run.py`'s.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from ...benchmark import files
from ...benchmark.errors import IntrospectBenchError, UsageError
from .findings import Finding, finding, from_error, raise_worst
from .schema import ENTRY_ID, FOLDER, EntryFields, field_problems, org_of, slug
from .text_rules import text_problem

ENTRY, NOTES, LEDGER = "entry.json", "NOTES.md", "ledger.jsonl"
RUN_FILE = re.compile(r"[a-z0-9][a-z0-9-]{0,60}\.jsonl")  # the task's name
LISTED = ("README.md", LEDGER, "ledger.head.json")  # files that lie beside the suites' folders
MAX_FILES = 40  # most files in an entry
MAX_ENTRIES = 2_000  # most entries of a suite, and most suites
MAX_RUN_BYTES, MAX_ENTRY_BYTES, MAX_NOTES_BYTES = 10_000_000, 40_000_000, 20_000
CAPS = {ENTRY: 32_000, NOTES: MAX_NOTES_BYTES}  # bytes of the files that are no run files
WRITE_FOLDER = "let `introspect-bench submit` write the folder"

_LEFT = re.compile(r"\..*\.(?:partial|lock)", re.DOTALL)
_EXECUTABLE = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One submission: run files and what their makers say of them."""

    folder: Path
    id: str  # name of the folder
    suite: str  # name of the folder around it
    fields: EntryFields
    runs: tuple[Path, ...]  # in the order of their names
    notes: str | None  # what `NOTES.md` holds, to be shown as plain text


def read_entry(folder: Path) -> Entry:
    """Read an entry without opening its run files."""
    entry, findings = inspect_entry(folder)
    raise_worst(findings)
    assert entry is not None  # or else there is a finding
    return entry


def find_entries(root: Path) -> list[Entry]:
    """Read all entries below `submissions/`, in the order of suites and ids."""
    entries = []
    for folder in entry_folders(root):
        if isinstance(folder, Finding):
            raise_worst([folder])
        else:
            entries.append(read_entry(folder))
    return entries


def entry_folders(root: Path) -> Iterator[Path | Finding]:
    """Yield the folders of entries below `submissions/`, and findings about what else is there."""
    for suite in filter(_is_meant, members(root)):
        if isinstance(suite, Finding):
            yield suite
        elif suite.name in LISTED and not suite.is_symlink() and suite.is_file():
            continue
        elif problem := _folder_problem(suite):
            yield problem
        else:
            for member in filter(_is_meant, members(suite)):
                yield member if isinstance(member, Finding) else _folder_problem(member) or member


def _is_meant(member: Path | Finding) -> bool:
    """Whether it is no lock and no half of a folder that a killed `submit` left."""
    return isinstance(member, Finding) or not _LEFT.fullmatch(member.name)


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
    else:
        yield from (folder / name for name in sorted(names))


def inspect_entry(folder: Path) -> tuple[Entry | None, list[Finding]]:
    """Read an entry and say everything that is wrong with its folder and `entry.json`."""
    if problem := _folder_problem(folder):
        return None, [problem]
    paths, findings = _list_files(folder)
    place = folder.absolute()
    org = org_of(place.name)
    if not org:
        expected = "<org>__<name>__<8 hex> in lower case"
        findings.append(finding(folder, "the folder's name is no entry's", expected, WRITE_FOLDER))
    runs = tuple(path for name, path in sorted(paths.items()) if RUN_FILE.fullmatch(name))
    if not runs:
        findings.append(finding(folder, "no run file", "<task>.jsonl", "submit a run"))
    fields = _read_fields(folder, paths.get(ENTRY), findings)
    notes = _read_notes(paths.get(NOTES), findings)
    if fields is not None and org and slug(fields.org) != org:
        expected = f"{org!r} as in the folder's name"
        findings.append(finding(folder, f"org is {fields.org!r}", expected, WRITE_FOLDER))
    if findings or fields is None:
        return None, findings
    suite = place.parent.name
    return Entry(
        folder=folder, id=place.name, suite=suite, fields=fields, runs=runs, notes=notes
    ), []


def entry_sha256(entry: Entry) -> str:
    """Return the hash of all that an entry holds, names and bytes."""
    notes = [] if entry.notes is None else [entry.folder / NOTES]
    paths = [*entry.runs, entry.folder / ENTRY, *notes]
    hashes = {path.name: files.sha256_file(path) for path in paths}
    return files.sha256_bytes(files.canonical_json(hashes).encode())


def body_digest(bodies: Mapping[str, str]) -> str:
    """Return the 8 digits that end an entry's id."""
    return files.sha256_bytes(files.canonical_json(dict(bodies)).encode())[:8]


def _folder_problem(folder: Path) -> Finding | None:
    """Say what is wrong with the folder of a suite or an entry, from its name and kind."""
    try:
        mode = folder.lstat().st_mode
    except OSError as error:
        raise UsageError(f"cannot read {folder}: {error.strerror}; check the path") from error
    if not stat.S_ISDIR(mode):
        return finding(folder, "not a folder, or a link", "a folder", "remove it")
    if not FOLDER.fullmatch(folder.absolute().name):
        said = "the folder's name holds more than lower-case letters, digits and ._-"
        return finding(folder, said, "a name of at most 81 such characters", WRITE_FOLDER)
    return None


def _file_problem(path: Path) -> tuple[Finding | None, int]:
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


def _list_files(folder: Path) -> tuple[dict[str, Path], list[Finding]]:
    findings: list[Finding] = []
    paths: dict[str, Path] = {}
    total = 0
    for member in members(folder):
        if isinstance(member, Finding):
            findings.append(member)
            continue
        problem, size = _file_problem(member)
        total += size
        if problem:
            findings.append(problem)
        else:
            paths[member.name] = member
    if total > MAX_ENTRY_BYTES:
        said = f"{total} bytes in all"
        findings.append(finding(folder, said, f"at most {MAX_ENTRY_BYTES}", "submit less"))
    return paths, findings


def _read_fields(folder: Path, path: Path | None, findings: list[Finding]) -> EntryFields | None:
    if path is None:
        if not any(one.file == str(folder / ENTRY) for one in findings):
            findings.append(finding(folder, f"no {ENTRY}", "one", "let `submit` write it"))
        return None
    try:
        fields = files.read_json(path, max_bytes=CAPS[ENTRY])
    except IntrospectBenchError as error:
        findings.append(from_error(error, str(path)))
        return None
    problems = field_problems(fields)
    lines = path.read_bytes().split(b"\n")
    for name, problem in problems:
        key = f'"{name}"'.encode("utf-8", "surrogatepass")
        line = next((n for n, text in enumerate(lines, 1) if text.strip().startswith(key)), None)
        said, expected = f"field {name[:80]} {problem}", "what leaderboard/entry.schema.json says"
        findings.append(replace(finding(path, said, expected, "correct the field"), line=line))
    return None if problems else EntryFields(**fields)


def _read_notes(path: Path | None, findings: list[Finding]) -> str | None:
    if path is None:
        return None
    with files.open_regular(path) as stream:
        data = stream.read(MAX_NOTES_BYTES + 1)
    text = ""
    try:
        text = data.decode("utf-8")
        problem = text_problem(text, max_chars=MAX_NOTES_BYTES, keep="\n\t\r")
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 at byte {error.start}"
    if problem:
        findings.append(finding(path, f"the text {problem}", "plain text", "correct it"))
    return text
