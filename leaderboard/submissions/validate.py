"""What `validate` says of run files, entries and whole `submissions/` folders, also in CI."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...benchmark.cache import Progress, silent
from ...benchmark.errors import IntrospectBenchError, UsageError
from ...benchmark.export.tables import title
from ...benchmark.records import ORACLE, REPLAYS
from ...benchmark.runs.run import Run, read_run, run_files
from ...benchmark.scoring.grade import about
from ...benchmark.scoring.judged import NotJudgedError
from ...benchmark.scoring.scale import NoScaleError, best_told, scale_of
from ...benchmark.scoring.score import check_score, score, validate
from ...benchmark.suite.suite import Suite
from ...benchmark.task import Task
from .checks import (
    SPLIT,
    access_findings,
    content_findings,
    control_findings,
    entry_access,
    run_findings,
    text_findings,
    together,
)
from .copies import name_findings
from .entries import ENTRY, Entry, entry_folders, entry_sha256, inspect_entry, members
from .findings import Finding, failed_check, from_error, worst_exit_code
from .schema import ENTRY_ID, OWN_KINDS

SCHEMA = "introspect-bench/report/1"
ROOT = "submissions"


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryReport:
    """What was found about one entry."""

    path: Path
    entry: Entry | None = None  # the entry, if its folder and `entry.json` are sound
    sha256: str | None = None  # hash of all its files, if they are all there
    scores: tuple[dict[str, Any], ...] = ()  # as `score` gives them; none if a run is wrong
    findings: tuple[Finding, ...]  # what is wrong, in the order of files

    def as_json(self) -> dict[str, Any]:
        """Return what CI reports of the entry; only numbers and names that were checked."""
        return {
            "entry": self.entry.id if self.entry else self.path.name,
            "suite": self.entry.suite if self.entry else None,
            "sha256": self.sha256,
            "scores": [_summary(one) for one in self.scores],
            "findings": [finding.as_json() for finding in self.findings],
        }


def validate_all(
    paths: Path | str | Sequence[Path | str],
    *,
    strict: bool = False,
    suite: str | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Check run files, entries and folders of entries: one JSON object, nothing raised for them.

    It holds `ok`, `exit_code`, `runs` (what `validate` says of sound run files), `entries` (with
    scores computed again, and findings) and `findings` about other files, as `Finding.as_json`.
    """
    runs: list[dict[str, Any]] = []
    reports: list[EntryReport] = []
    findings: list[Finding] = []
    for path in _opened(paths):
        if not path.is_dir():
            try:
                runs.append(validate(path, strict=strict))
                findings += content_findings(read_run(path)) if strict else ()
            except IntrospectBenchError as error:
                findings.append(from_error(error, str(path)))
            continue
        folders = list(_entries(path))
        for place, folder in enumerate(folders):
            if len(folders) > 1:
                progress("checking entries", place, len(folders))
            if isinstance(folder, Finding):
                findings.append(folder)
            else:
                reports.append(check_entry(folder, suite=suite))
    code = worst_exit_code([*findings, *(own for report in reports for own in report.findings)])
    return {
        "schema": SCHEMA,
        "ok": code == 0,
        "exit_code": code,
        "runs": runs,
        "entries": [report.as_json() for report in reports],
        "findings": [finding.as_json() for finding in findings],
    }


def check_entry(folder: Path, *, suite: str | None = None) -> EntryReport:
    """Check one entry and compute its scores."""
    entry, findings = inspect_entry(folder)
    if entry is None:
        return EntryReport(path=folder, findings=tuple(findings))
    runs: dict[str, Run] = {}
    for path in entry.runs:
        try:
            runs[path.stem] = read_run(path)
        except IntrospectBenchError as error:
            findings.append(from_error(error, str(path)))
    findings += [*text_findings(entry), *name_findings(entry, runs)]
    for run in runs.values():
        findings += run_findings(run, entry)
    if len(runs) == len(entry.runs):
        findings += together(entry, runs)
    scores = []
    if not worst_exit_code(findings):
        for path in entry.runs:
            result, problem = _scored(path, suite)
            scores += [result] if result else []
            findings += [problem] if problem else []
    if not worst_exit_code(findings):
        findings += access_findings(entry, runs, suite)
        findings += control_findings(entry, runs)
        findings += _suspicions(entry, runs, scores, suite)
    kept = () if worst_exit_code(findings) else tuple(scores)
    sha = entry_sha256(entry)
    return EntryReport(path=folder, entry=entry, sha256=sha, scores=kept, findings=tuple(findings))


def _opened(paths: Path | str | Sequence[Path | str]) -> Iterator[Path]:
    """Yield paths, and of a folder that `run -o` wrote its run files."""
    for path in map(Path, [paths] if isinstance(paths, Path | str) else paths):
        own = path.is_dir() and not _is_entry(path) and not _is_root(path)
        yield from run_files(path) if own and any(path.glob("*.jsonl")) else (path,)


def _is_entry(path: Path) -> bool:
    return bool(ENTRY_ID.fullmatch(path.absolute().name)) or (path / ENTRY).is_file()


def _entries(path: Path) -> Iterator[Path | Finding]:
    if _is_entry(path):
        yield path
        return
    if not _is_root(path):
        raise UsageError(
            f"cannot read {path}: not a regular file, and no folder of runs or entries; give a run "
            "file, the folder of some, an entry's folder or submissions/"
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


def _scored(path: Path, suite: str | None) -> tuple[dict[str, Any] | None, Finding | None]:
    try:
        result = score(path, suite=suite)
        check_score(path, result)
    except NotJudgedError as error:
        fix = f"introspect-bench judge {path}"
        return None, failed_check(path, None, str(error), "judged descriptions", fix)
    except IntrospectBenchError as error:
        return None, from_error(error, str(path))
    return result, None


CALCULATED = 1 / 3
"""Share of the way from floor to ceiling above which a score is looked at, of tasks about
interventions. Explainers and nulls of every class stay below 0.2; carrying out the intervention
reaches 1, with half of the replies spoilt 0.39 or more."""
DESCRIBED = 0.9  # the same of descriptions, which nothing calculates


def suspicion(
    value: float | None, access: str, task: Task, suite: Suite, *, kind: str = ""
) -> str | None:
    """Say why a headline score should be looked at, as a sentence without subject."""
    the_calculator = access == REPLAYS and kind in OWN_KINDS
    if value is None or access == ORACLE or the_calculator:
        return None
    try:
        scale = scale_of(suite.manifest, SPLIT, task.headline)
    except NoScaleError:
        return None
    told = best_told(suite.manifest, SPLIT, task.headline)
    if told is not None and value > told:
        return f"is {value:.3f}, above the best oracle, which reaches {told:.3f}"
    share = (value - scale.floor) / (scale.ceiling - scale.floor)
    limit = DESCRIBED if suite.describes else CALCULATED
    if share <= limit:
        return None
    said = f"is {value:.3f}, {share:.0%} of the way from the floor to the ceiling"
    if access == REPLAYS:
        return f"{said}: carrying out the intervention and spoiling some replies gives the same"
    return f"{said}: no explainer of class {access} is known to reach {limit:.0%}"


def _suspicions(
    entry: Entry, runs: Mapping[str, Run], scores: Sequence[Mapping[str, Any]], suite: str | None
) -> Iterator[Finding]:
    classes = entry_access(entry.fields, runs).by_task
    for result in scores:
        run, headline = runs[result["task"]], result["headline"]
        task, where = about(run, suite)
        value = result["overall"]["metrics"][headline]["value"] if result["overall"] else None
        said = suspicion(value, classes[task.name], task, where, kind=entry.fields.kind)
        if said:
            fix = "expect to be asked how"
            said = f"{title(headline)} {said}"
            yield failed_check(run.path, None, said, "less", fix, level="warning")


def _summary(result: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("suite", "task", "version", "split", "metric_version", "data_sha256", "body_sha256")
    overall = result["overall"] or {"n": 0, "unparsed": 0, "metrics": {}}
    return {name: result[name] for name in kept} | {
        "n": overall["n"],
        "unparsed": overall["unparsed"],
        "metrics": {
            name: {"value": metric["value"], "interval_95": metric["interval_95"]}
            for name, metric in overall["metrics"].items()
        },
    }
