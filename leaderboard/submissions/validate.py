"""Submissions checked: what `validate` says of run files, entries and whole `submissions/` folders.

Owns the order of checks on an entry: its folder, its run files, that they belong together, and
their scores, computed again. The same code runs on a laptop and in CI.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...benchmark.errors import IntrospectBenchError, UsageError
from ...benchmark.export.titles import title
from ...benchmark.runs.run import Run, read_run
from ...benchmark.scoring.judged import NotJudgedError
from ...benchmark.scoring.score import check_score, score, validate
from .access import access_findings
from .checks import content_findings, failed_check, run_findings, text_findings, together
from .entries import Entry, entry_folders, entry_sha256, inspect_entry
from .findings import Finding, from_error, worst_exit_code
from .folders import ENTRY, members
from .schema import ENTRY_ID

SCHEMA = "introspect-bench/report/1"
"""Value of `schema` in a report."""
SUSPICIOUS = 0.995
"""Headline from which a contestant is looked at by a person."""
OnEntry = Callable[[int, int], None]
"""Told how many entries of a folder are checked, and how many there are."""
ROOT = "submissions"
"""Name of the folder of all entries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryReport:
    """What was found about one entry."""

    path: Path
    """Its folder."""
    entry: Entry | None
    """The entry, if its folder and `entry.json` are sound."""
    sha256: str | None
    """Hash of all its files, if they are all there."""
    scores: tuple[dict[str, Any], ...]
    """Results of its runs, as `score` gives them; none if a run is wrong."""
    findings: tuple[Finding, ...]
    """What is wrong, in the order of files."""

    def as_json(self) -> dict[str, Any]:
        """Return what CI reports of the entry; only numbers and names that were checked."""
        return {
            "entry": self.entry.id if self.entry else self.path.name,
            "suite": self.entry.suite if self.entry else None,
            "sha256": self.sha256,
            "scores": [_summary(one) for one in self.scores],
            "findings": [finding.as_json() for finding in self.findings],
        }


def check_paths(
    paths: Sequence[Path],
    *,
    strict: bool,
    suite: str | None = None,
    on_entry: OnEntry | None = None,
) -> tuple[list[dict[str, Any]], list[EntryReport], list[Finding]]:
    """Check run files, entries and folders of entries.

    Args:
        paths: any of them.
        strict: also refuse runs that cannot be submitted; entries always are held to it.
        suite: folder of suites, for suites that are not in the package.
        on_entry: told how far it is.

    Returns:
        What `validate` says of each run file, reports of entries, and findings about other files.

    Raises:
        UsageError: a path does not exist, or is neither.
    """
    runs: list[dict[str, Any]] = []
    reports: list[EntryReport] = []
    findings: list[Finding] = []
    for path in paths:
        if not path.is_dir():
            try:
                runs.append(validate(path, strict=strict))
                findings += content_findings(read_run(path)) if strict else ()
            except IntrospectBenchError as error:
                findings.append(from_error(error, str(path)))
            continue
        folders = list(_entries(path))
        for place, folder in enumerate(folders):
            if on_entry is not None and len(folders) > 1:
                on_entry(place, len(folders))
            if isinstance(folder, Finding):
                findings.append(folder)
            else:
                reports.append(check_entry(folder, suite=suite))
    return runs, reports, findings


def validate_all(
    paths: Sequence[Path | str],
    *,
    strict: bool = False,
    suite: str | None = None,
    on_entry: OnEntry | None = None,
) -> dict[str, Any]:
    """Check run files, entries and folders of entries: one JSON object, nothing raised for them.

    Args:
        paths: any of them.
        strict: also refuse run files that cannot be submitted; entries always are held to it.
        suite: folder of suites, for suites that are not in the package.
        on_entry: told how far it is.

    Returns:
        `ok`, `exit_code`, `runs` (what `validate` says of sound run files), `entries` (with scores
        computed again, and findings) and `findings` about other files. A finding has `file`,
        `line`, `found`, `expected`, `fix`, `level` and `exit_code`.

    Raises:
        UsageError: a folder is neither an entry nor holds entries.
    """
    runs, reports, findings = check_paths(
        [Path(path) for path in paths], strict=strict, suite=suite, on_entry=on_entry
    )
    every = [*findings, *(one for report in reports for one in report.findings)]
    code = worst_exit_code(every)
    return {
        "schema": SCHEMA,
        "ok": code == 0,
        "exit_code": code,
        "runs": runs,
        "entries": [report.as_json() for report in reports],
        "findings": [finding.as_json() for finding in findings],
    }


def check_entry(folder: Path, *, suite: str | None = None) -> EntryReport:
    """Check one entry and compute its scores.

    Args:
        folder: its folder.
        suite: folder of suites, for suites that are not in the package.

    Raises:
        UsageError: there is no such folder.
    """
    entry, findings = inspect_entry(folder)
    if entry is None:
        return EntryReport(
            path=folder, entry=None, sha256=None, scores=(), findings=tuple(findings)
        )
    runs: dict[str, Run] = {}
    for path in entry.runs:
        try:
            runs[path.stem] = read_run(path)
        except IntrospectBenchError as error:
            findings.append(from_error(error, str(path)))
    findings += text_findings(entry)
    for run in runs.values():
        findings += run_findings(run, entry)
    if len(runs) == len(entry.runs):
        findings += together(entry, runs)
    scores = []
    if not any(finding.level == "error" for finding in findings):
        for path in entry.runs:
            result, found = _scored(path, entry, suite)
            findings += found
            scores += [result] if result else []
    if not any(finding.level == "error" for finding in findings):
        findings += access_findings(entry, runs, suite)
    if any(finding.level == "error" for finding in findings):
        scores = []
    return EntryReport(
        path=folder,
        entry=entry,
        sha256=entry_sha256(entry),
        scores=tuple(scores),
        findings=tuple(findings),
    )


def _entries(path: Path) -> Iterator[Path | Finding]:
    """Yield the entry that a folder is, or those below it."""
    if ENTRY_ID.fullmatch(path.absolute().name) or (path / ENTRY).is_file():
        yield path
        return
    if not _is_root(path):
        raise UsageError(
            f"cannot read {path}: not a regular file, and no folder of entries; give a run file, "
            "an entry's folder or submissions/"
        )
    yield from entry_folders(path)


def _is_root(path: Path) -> bool:
    """Whether it is named `submissions`, or a folder two levels below is named like an entry."""
    return path.absolute().name == ROOT or any(
        ENTRY_ID.fullmatch(below.name)
        for suite in members(path)
        if isinstance(suite, Path) and suite.is_dir()
        for below in members(suite)
        if isinstance(below, Path)
    )


def _scored(
    path: Path, entry: Entry, suite: str | None
) -> tuple[dict[str, Any] | None, list[Finding]]:
    try:
        result = score(path, suite=suite)
        check_score(path, result)
    except NotJudgedError as error:
        return None, [
            failed_check(
                path, None, str(error), "judged descriptions", f"introspect-bench judge {path}"
            )
        ]
    except IntrospectBenchError as error:
        return None, [from_error(error, str(path))]
    overall, headline = result["overall"], result["headline"]
    best = overall["metrics"][headline]["value"] if overall else None
    if best is not None and best >= SUSPICIOUS and entry.fields["kind"] != "oracle":
        said = f"{title(headline)} is {best:.1%}, above what measuring the target twice gives"
        return result, [
            failed_check(path, None, said, "less", "expect to be asked how", level="warning")
        ]
    return result, []


def _summary(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a report says of a run's scores: numbers and identifiers."""
    kept = ("suite", "task", "version", "split", "metric_version", "data_sha256", "body_sha256")
    overall = result["overall"]
    return {name: result[name] for name in kept} | {
        "n": overall["n"] if overall else 0,
        "unparsed": overall["unparsed"] if overall else 0,
        "metrics": {
            name: {"value": metric["value"], "interval_95": metric["interval_95"]}
            for name, metric in (overall["metrics"] if overall else {}).items()
        },
    }
