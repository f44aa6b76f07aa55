"""`introspect-bench validate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .. import api
from ..bars import progress
from ..console import emit_json, emit_table, printable


@click.command()
@click.argument(
    "paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path)
)
@click.option("--strict", is_flag=True, help="Fail if a run file cannot be submitted.")
@click.option("--suite", metavar="DIR", help="Suites elsewhere: a folder, or owner/name@commit.")
@click.option(
    "--report",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the JSON document to this file.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(
    paths: tuple[Path, ...], strict: bool, suite: str | None, report: Path | None, as_json: bool
) -> None:
    """Read run files and submissions strictly, and say what is wrong.

    PATH is a run file, a folder of them, the folder of an entry, or submissions/ with all of them.
    A partial or incomplete run is a sound file that cannot be submitted; --strict refuses it.
    Entries are held to everything CI holds them to, and their scores are computed again.
    """
    from ..benchmark.files import write_json_atomic
    from ..leaderboard.submissions.findings import Finding, raise_worst

    with progress() as bar:
        found = api.validate_all(paths, strict=strict, suite=suite, progress=bar)
    rows = [*found["findings"], *(row for one in found["entries"] for row in one["findings"])]
    findings = [Finding(**row) for row in rows]
    if report is not None:
        write_json_atomic(report, found)
    if as_json:
        emit_json(found)
    elif found["ok"] or any(path.is_dir() for path in paths):
        _emit_runs(found["runs"])
        _emit_entries(found["entries"])
        for finding in findings:
            click.echo(printable(f"{finding.level}: {finding.sentence}"))
    raise_worst(findings)


def _emit_runs(runs: list[dict[str, Any]]) -> None:
    if not runs:
        return
    own = ("suite", "task", "split", "explainer", "path")
    rows = [
        [_verdict(run), f"{run['rows']} of {run['queries']}", *(run[name] for name in own)]
        for run in runs
    ]
    emit_table(("verdict", "rows", *own[:-1], "file"), rows)
    for run in runs:
        if run["cannot_submit"]:
            click.echo(printable(f"{run['path']}: {run['cannot_submit']}"))


def _emit_entries(entries: list[dict[str, Any]]) -> None:
    rows = []
    for entry in entries:
        refused = any(finding["level"] == "error" for finding in entry["findings"])
        tasks = ", ".join(score["task"] for score in entry["scores"]) or "none"
        rows.append(["refused" if refused else "ok", tasks, entry["suite"], entry["entry"]])
    if rows:
        emit_table(("verdict", "tasks scored", "suite", "entry"), rows)


def _verdict(run: dict[str, Any]) -> str:
    verdict = "ok" if run["complete"] else "ok so far (incomplete)"
    return f"{verdict} (partial)" if run["partial"] else verdict
