"""`introspect-bench leaderboard`."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def command() -> None:
    """Tables made from run files."""


@command.command("table")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option("--suite", metavar="DIR", help="Folder of suites that are not in the package.")
@click.option(
    "--readme",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the table between the results markers of this file instead of printing it.",
)
def table(runs: tuple[Path, ...], suite: str | None, readme: Path | None) -> None:
    """Score run files and print one Markdown table a task and split."""
    from introspect_bench import results

    text = results.leaderboard_table(runs, suite=suite)
    if readme is None:
        click.echo(text, nl=False)
    else:
        results.write_results(readme, text)
        click.echo(f"wrote {readme}", err=True)
