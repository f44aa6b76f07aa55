"""`introspect-bench board`."""

from __future__ import annotations

from pathlib import Path

import click

from ..console import emit_json, printable, progress

CHECK_FAILED = 1
"""Exit code when two boards differ."""


_submissions = click.argument(
    "submissions",
    default="submissions",
    metavar="[SUBMISSIONS]",
    type=click.Path(path_type=Path, file_okay=False),
)
_suite = click.option(
    "--suite", metavar="DIR", help="Folder of suites that are not in the package."
)
_no_cache = click.option(
    "--no-cache", is_flag=True, help="Score every run again, whatever is in the cache."
)


@click.group()
def command() -> None:
    """The leaderboard's page and report, made from submissions."""


@command.command("build")
@_submissions
@click.option(
    "--output",
    "-o",
    default="site",
    show_default=True,
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the page; a page that is there is replaced.",
)
@click.option(
    "--ledger", metavar="FILE", type=click.Path(path_type=Path), help="Default: in SUBMISSIONS."
)
@_suite
@_no_cache
@click.option("--json", "as_json", is_flag=True, help="One JSON document: what was written.")
def build(
    submissions: Path,
    output: Path,
    ledger: Path | None,
    suite: str | None,
    no_cache: bool,
    as_json: bool,
) -> None:
    """Score all submissions and write the page: open its index.html in any browser."""
    from .. import api

    with progress() as bar:
        made = api.board_build(
            submissions,
            output,
            ledger=ledger,
            suite=suite,
            use_cache=not no_cache,
            on_entry=lambda done, total: bar.items("scoring runs", done, total),
        )
    if as_json:
        emit_json(made)
    else:
        click.echo(printable(str(output / "index.html")))


@command.command("report")
@_submissions
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the page here instead of printing it.",
)
@click.option(
    "--study",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with run files of an injection study.",
)
@click.option(
    "--rates",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with records of trainings at several learning rates.",
)
@_suite
@_no_cache
@click.option("--json", "as_json", is_flag=True, help="One JSON document: the page as text.")
def report(
    submissions: Path,
    output: Path | None,
    study: Path | None,
    rates: Path | None,
    suite: str | None,
    no_cache: bool,
    as_json: bool,
) -> None:
    """Say what the submissions show: vectors against none, self against others, layers, kinds."""
    from .. import api

    with progress() as bar:
        page = api.board_report(
            submissions,
            output,
            study=study,
            rates=rates,
            suite=suite,
            use_cache=not no_cache,
            on_entry=lambda done, total: bar.items("scoring runs", done, total),
        )
    if as_json:
        emit_json({"markdown": page})
    elif output is None:
        click.echo(printable(page, keep="\n"), nl=False)
    else:
        click.echo(printable(str(output)))


@command.command("scaling")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option(
    "--output",
    "-o",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="SVG file to write.",
)
@_suite
@click.option("--json", "as_json", is_flag=True, help="One JSON document: the points.")
def scaling(runs: tuple[Path, ...], output: Path, suite: str | None, as_json: bool) -> None:
    """Draw scores with intervals over training queries; a panel a task, a line an explainer.

    Explainers that differ in nothing but how much they learnt from are joined by a line.
    """
    from .. import api

    points = api.board_scaling(runs, output, suite=suite)["points"]
    if as_json:
        emit_json({"path": str(output), "points": points})
    else:
        click.echo(printable(str(output)))


@command.command("check")
@click.argument("site", metavar="SITE", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON document: what was checked.")
def check(site: Path, as_json: bool) -> None:
    """Check a page: every file against its hash, the table against its board.json."""
    from .. import api

    found = api.board_check(site)
    if as_json:
        emit_json(found)
    else:
        click.echo(f"{found['files']} files and {found['entries']} entries are as they were built")


@command.command("diff")
@click.argument("old", metavar="OLD", type=click.Path(path_type=Path))
@click.argument("new", metavar="NEW", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON document: the differences.")
def diff(old: Path, new: Path, as_json: bool) -> int:
    """Compare two boards (folders of pages, or board.json files); exit 1 if they differ."""
    from .. import api

    lines = api.board_diff(old, new)
    if as_json:
        emit_json({"differences": lines})
    else:
        for line in lines:
            click.echo(printable(line))
    return CHECK_FAILED if lines else 0
