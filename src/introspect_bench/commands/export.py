"""`introspect-bench export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .. import api
from ..console import emit

FORMS = ("csv", "parquet", "latex", "hf", "every-eval-ever", "hub-results", "lm-eval")
"""Forms of `export.FORMS`, that of a result on a hub, and that of tasks."""


@click.command()
@click.argument("run", metavar="RUN|DIR", type=click.Path(path_type=Path))
@click.option("--to", type=click.Choice(FORMS), required=True)
@click.option("--suite", metavar="DIR", help="Suites elsewhere: a folder, or owner/name@commit.")
@click.option(
    "-o",
    "--out",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="File or folder to write; named after the run by default, in the current folder.",
)
@click.option("--split", metavar="NAME", help="Queries of a task for lm-eval; test by default.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document with the path.")
def command(run: Path, to: str, as_json: bool, **options: Any) -> None:
    """Write a run in another form, or a task for another harness.

    csv and parquet hold a row a query; latex is the table of `score`; hf is a folder that
    `datasets.load_dataset` reads; every-eval-ever is a folder in the layout of that project;
    hub-results is `.eval_results/*.yaml` for a model's repository, of a suite that is on a hub.
    `introspect-bench export --to lm-eval DIR` takes no run: it writes input ablations as tasks for
    `lm_eval --include_path DIR`, one for models with a chat template and one for others. Nothing is
    overwritten.
    """
    written = str(api.export(run, to, **options))
    emit({"form": to, "path": written}, written, as_json=as_json)
