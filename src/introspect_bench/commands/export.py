"""`introspect-bench export`."""

from __future__ import annotations

from pathlib import Path

import click

from .. import api
from ..console import emit

FORMS = ("csv", "parquet", "latex", "hf", "every-eval-ever")
"""Forms of `exporting.FORMS`."""


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--to", type=click.Choice(FORMS), required=True)
@click.option("--suite", metavar="DIR", help="Folder of suites that are not in the package.")
@click.option(
    "-o",
    "--out",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="File or folder to write; named after the run by default, in the current folder.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document with the path.")
def command(run: Path, to: str, suite: str | None, out: Path | None, as_json: bool) -> None:
    """Write a run in another form.

    csv and parquet hold a row a query; latex is the table of `score`; hf is a folder that
    `datasets.load_dataset` reads; every-eval-ever is a folder in the layout of that project.
    Nothing is overwritten.
    """
    written = str(api.export(run, to, out=out, suite=suite))
    emit({"form": to, "path": written}, written, as_json=as_json)
