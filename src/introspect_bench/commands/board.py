"""`introspect-bench board`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .. import api
from ..bars import progress
from ..console import Declared, emit, emit_json, output, printable

CHECK_FAILED = 1
"""Exit code when two boards differ."""


_submissions = click.argument(
    "submissions",
    default="submissions",
    metavar="[SUBMISSIONS]",
    type=click.Path(path_type=Path, file_okay=False),
)
_suite = click.option(
    "--suite", metavar="DIR", help="Suites elsewhere: a folder, or owner/name@commit."
)
_no_cache = click.option(
    "--no-cache", is_flag=True, help="Score every run again, whatever is in the cache."
)


def _folder(name: str, help: str) -> Callable[[Declared], Declared]:
    kind = click.Path(path_type=Path, exists=True, file_okay=False)
    return click.option(name, metavar="DIR", type=kind, help=help)


@click.group()
def command() -> None:
    """The leaderboard's page and report, made from submissions."""


@command.command("build")
@_submissions
@output("Folder of the page; a page that is there is replaced.", default="site")
@click.option(
    "--ledger", metavar="FILE", type=click.Path(path_type=Path), help="Default: in SUBMISSIONS."
)
@_suite
@_no_cache
@click.option("--json", "as_json", is_flag=True, help="One JSON document: what was written.")
def build(submissions: Path, output: Path, no_cache: bool, as_json: bool, **options: Any) -> None:
    """Score all submissions and write the page: open its index.html in any browser."""
    with progress() as bar:
        made = api.board_build(submissions, output, use_cache=not no_cache, progress=bar, **options)
    emit(made, str(output / "index.html"), as_json=as_json)


@command.command("report")
@_submissions
@output("Write the page here instead of printing it.", file=True)
@_folder("--study", "Folder with run files of an injection study.")
@_folder("--rates", "Folder with records of trainings at several learning rates.")
@_suite
@_no_cache
@click.option("--json", "as_json", is_flag=True, help="One JSON document: the page as text.")
def report(
    submissions: Path, output: Path | None, no_cache: bool, as_json: bool, **options: Any
) -> None:
    """Say what the submissions show: vectors against none, self against others, layers, kinds."""
    with progress() as bar:
        page = api.board_report(
            submissions, output, use_cache=not no_cache, progress=bar, **options
        )
    if as_json:
        emit_json({"markdown": page})
    elif output is None:
        click.echo(printable(page, keep="\n"), nl=False)
    else:
        click.echo(printable(str(output)))


@command.command("scaling")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@output("SVG file to write.", file=True, required=True)
@_suite
@click.option("--json", "as_json", is_flag=True, help="One JSON document: the points.")
def scaling(runs: tuple[Path, ...], output: Path, suite: str | None, as_json: bool) -> None:
    """Draw scores with intervals over training queries; a panel a task, a line an explainer.

    Explainers that differ in nothing but how much they learnt from are joined by a line.
    """
    points = api.board_scaling(runs, output, suite=suite)["points"]
    emit({"path": str(output), "points": points}, str(output), as_json=as_json)


@command.command("check")
@click.argument("site", metavar="SITE", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON document: what was checked.")
def check(site: Path, as_json: bool) -> None:
    """Check a page: every file against its hash, the table against its board.json."""
    found = api.board_check(site)
    said = f"{found['files']} files and {found['entries']} entries are as they were built"
    emit(found, said, as_json=as_json)


@command.command("diff")
@click.argument("old", metavar="OLD", type=click.Path(path_type=Path))
@click.argument("new", metavar="NEW", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON document: the differences.")
def diff(old: Path, new: Path, as_json: bool) -> int:
    """Compare two boards (folders of pages, or board.json files); exit 1 if they differ."""
    lines = api.board_diff(old, new)
    if as_json:
        emit_json({"differences": lines})
    else:
        for line in lines:
            click.echo(printable(line))
    return CHECK_FAILED if lines else 0
