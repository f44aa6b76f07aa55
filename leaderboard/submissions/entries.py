"""Submissions on disk: one folder an entry, read as if a stranger had written it.

Owns the layout `submissions/<suite>/<org>__<name>__<8 hex>/` with run files `<task>.jsonl`,
`entry.json` and an optional `NOTES.md`, and its limits. Sizes are looked up before anything is
opened; nothing here is executed, decompressed or followed. What is in a run file
is `benchmark/runs/run.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...benchmark import files
from ...benchmark.errors import IntegrityError, IntrospectBenchError
from .findings import Finding, from_error, raise_worst
from .folders import (
    ENTRY,
    LISTED,
    MAX_ENTRY_BYTES,
    MAX_JSON_BYTES,
    MAX_NOTES_BYTES,
    NOTES,
    RUN_FILE,
    file_problem,
    finding,
    folder_problem,
    members,
)
from .schema import ENTRY_ID, field_problems, slug
from .text_rules import text_problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One submission: run files and what their makers say of them."""

    folder: Path
    """Where it is."""
    id: str
    """Name of the folder."""
    suite: str
    """Name of the suite: of the folder around it."""
    fields: Mapping[str, Any]
    """What `entry.json` holds; every field was checked, and is a stranger's text all the same."""
    runs: tuple[Path, ...]
    """Run files, in the order of their names."""
    notes: str | None
    """What `NOTES.md` holds, to be shown as plain text."""


def read_entry(folder: Path) -> Entry:
    """Read an entry without opening its run files.

    Raises:
        UsageError: there is no such folder.
        IntegrityError: the first thing that is wrong with it.
    """
    entry, findings = inspect_entry(folder)
    raise_worst(findings)
    if entry is None:
        raise IntegrityError(f"{folder}: not an entry")
    return entry


def find_entries(root: Path) -> list[Entry]:
    """Read all entries below `submissions/`, in the order of suites and ids.

    Raises:
        UsageError: there is no such folder.
        IntegrityError: the first thing that is wrong, also a file that does not belong there.
    """
    found = []
    for folder in entry_folders(root):
        if isinstance(folder, Finding):
            raise_worst([folder])
        else:
            found.append(read_entry(folder))
    return found


def entry_folders(root: Path) -> Iterator[Path | Finding]:
    """Yield the folders of entries below `submissions/`, and findings about what else is there.

    Raises:
        UsageError: there is no such folder.
    """
    for suite in members(root):
        if isinstance(suite, Finding):
            yield suite
        elif suite.name in LISTED and not suite.is_symlink() and suite.is_file():
            continue
        elif problem := folder_problem(suite):
            yield problem
        else:
            yield from (
                member if isinstance(member, Finding) else folder_problem(member) or member
                for member in members(suite)
            )


def inspect_entry(folder: Path) -> tuple[Entry | None, list[Finding]]:
    """Read an entry and say everything that is wrong with its folder and `entry.json`.

    Returns:
        The entry, or None if its folder or `entry.json` is wrong; and the findings.

    Raises:
        UsageError: there is no such folder.
    """
    if problem := folder_problem(folder):
        return None, [problem]
    findings: list[Finding] = []
    paths: dict[str, Path] = {}
    total = 0
    for member in members(folder):
        if isinstance(member, Finding):
            findings.append(member)
            continue
        problem, size = file_problem(member)
        total += size
        if problem:
            findings.append(problem)
        else:
            paths[member.name] = member
    if total > MAX_ENTRY_BYTES:
        findings.append(
            finding(folder, f"{total} bytes in all", f"at most {MAX_ENTRY_BYTES}", "submit less")
        )
    name = folder.absolute().name
    match = ENTRY_ID.fullmatch(name)
    if match is None:
        findings.append(finding(folder, "the folder's name is no entry's", *_ID_ADVICE))
    runs = tuple(path for name, path in sorted(paths.items()) if RUN_FILE.fullmatch(name))
    if not runs:
        findings.append(finding(folder, "no run file", "<task>.jsonl", "submit a run"))
    fields = _read_fields(folder, paths.get(ENTRY), findings)
    notes = _read_notes(paths.get(NOTES), findings)
    if fields is not None and match is not None and slug(fields["org"]) != match["org"]:
        findings.append(
            finding(
                folder,
                f"org is {fields['org']!r}",
                f"{match['org']!r} as in the folder's name",
                "let `introspect-bench submit` write the folder",
            )
        )
    if findings or fields is None:
        return None, findings
    entry = Entry(
        folder=folder,
        id=name,
        suite=folder.absolute().parent.name,
        fields=fields,
        runs=runs,
        notes=notes,
    )
    return entry, []


_ID_ADVICE = (
    "<org>__<name>__<8 hex> in lower case",
    "let `introspect-bench submit` write the folder",
)


def entry_sha256(entry: Entry) -> str:
    """Return the hash of all that an entry holds, names and bytes.

    Raises:
        UsageError: a file is gone.
    """
    paths = [*entry.runs, entry.folder / ENTRY]
    if entry.notes is not None:
        paths.append(entry.folder / NOTES)
    hashes = {path.name: files.sha256_file(path) for path in paths}
    return files.sha256_bytes(files.canonical_json(hashes).encode())


def body_digest(bodies: Mapping[str, str]) -> str:
    """Return the 8 digits that end an entry's id.

    Args:
        bodies: `body_sha256` of the footer of each run, by task.
    """
    return files.sha256_bytes(files.canonical_json(dict(bodies)).encode())[:8]


def _read_fields(
    folder: Path, path: Path | None, findings: list[Finding]
) -> Mapping[str, Any] | None:
    if path is None:
        if not any(one.file == str(folder / ENTRY) for one in findings):
            findings.append(finding(folder, f"no {ENTRY}", "one", "let `submit` write it"))
        return None
    try:
        fields = files.read_json(path, max_bytes=MAX_JSON_BYTES)
    except IntrospectBenchError as error:
        findings.append(from_error(error, str(path)))
        return None
    problems = field_problems(fields)
    lines = path.read_bytes().split(b"\n")
    for name, problem in problems:
        key = f'"{name}"'.encode()
        line = next((n for n, text in enumerate(lines, 1) if text.strip().startswith(key)), None)
        findings.append(
            Finding(
                file=str(path),
                line=line,
                found=f"field {name[:80]} {problem}",
                expected="what leaderboard/entry.schema.json says",
                fix="correct the field",
            )
        )
    return None if problems else fields


def _read_notes(path: Path | None, findings: list[Finding]) -> str | None:
    if path is None:
        return None
    with files.open_regular(path) as stream:
        data = stream.read(MAX_NOTES_BYTES + 1)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        problem: str | None = f"is not UTF-8 at byte {error.start}"
        text = ""
    else:
        problem = text_problem(text, max_chars=MAX_NOTES_BYTES, keep="\n\t\r")
    if problem:
        findings.append(finding(path, f"the text {problem}", "plain text", "correct it"))
    return text
