"""`introspect-bench leaderboard`."""

from __future__ import annotations

from pathlib import Path

import click

from introspect_bench.console import emit_json


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
@click.option("--json", "as_json", is_flag=True, help="One JSON document: scores and the tables.")
def table(runs: tuple[Path, ...], suite: str | None, readme: Path | None, as_json: bool) -> None:
    """Score run files and print one Markdown table a task and split."""
    from introspect_bench import api, results
    from introspect_bench.leaderboard.table import markdown

    scores = api.score_all(runs, suite=suite)
    text = markdown(scores)
    if readme is not None:
        results.write_results(readme, text)
        click.echo(f"wrote {readme}", err=True)
    if as_json:
        emit_json({"results": scores, "markdown": text})
    elif readme is None:
        click.echo(text, nl=False)
