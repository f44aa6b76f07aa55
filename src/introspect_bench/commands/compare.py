"""`introspect-bench compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .. import api
from ..bars import progress
from ..console import choice, emit_json
from ..leaderboard.report import differences


@click.command()
@click.argument(
    "runs", nargs=-1, required=True, metavar="RUN RUN...", type=click.Path(path_type=Path)
)
@click.option("--suite", metavar="DIR", help="Suites elsewhere: a folder, or owner/name@commit.")
@click.option("--metric", metavar="NAME", help="What to compare; each task's headline by default.")
@choice(
    "--cluster",
    ("auto", "query"),
    "Resample and swap contrast groups, or take queries as independent.",
)
@choice("--correction", ("holm", "bh"), "Over all pairs of all tasks.")
@click.option("--common", is_flag=True, help="Compare on the queries that all runs answer.")
@click.option(
    "--format",
    "form",
    type=click.Choice(("md", "tex", "json")),
    default="md",
    show_default=True,
    help="Markdown, LaTeX or JSON.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document: --format json.")
def command(runs: tuple[Path, ...], form: str, as_json: bool, **options: Any) -> None:
    """Compare runs on the same queries, task by task, every pair.

    Give two runs or more of each task; runs of several tasks may be mixed. Each pair has the
    difference of their scores with its 95 % interval, exact McNemar for shares of right answers or
    a permutation test otherwise, the same by swapping whole groups, and the least difference that
    so many queries can show.
    """
    with progress() as bar:
        found = api.compare(runs, progress=bar, **options)
    if as_json or form == "json":
        emit_json(found)
    else:
        click.echo((differences.tex if form == "tex" else differences.markdown)(found), nl=False)
