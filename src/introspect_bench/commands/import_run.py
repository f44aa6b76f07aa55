"""`introspect-bench import-run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .. import api
from ..console import choice, emit, output


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--name", required=True, metavar="NAME", help="Who answered.")
@click.option("--suite", required=True, metavar="NAME", help="Name or folder of a suite.")
@click.option("--task", "-t", required=True, metavar="NAME", help="Task that the replies are to.")
@click.option("--split", default="test", show_default=True, metavar="NAME")
@choice("--format", ("jsonl", "csv"), "JSON lines, or CSV with a line of names.")
@output("Folder of run files.", default="runs")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(file: Path, format: str, as_json: bool, **options: Any) -> None:
    """Make a run file of replies that were made elsewhere.

    Each row has `raw`, the reply, and either `id`, the query's, or `row`: its number, from 0, in
    the dataset that the suite was imported from, else in the suite's `queries.jsonl`. The header
    says `imported`, the access class is undeclared; `score` takes the file as any other.
    """
    run = api.import_run(file, form=format, **options)
    missing = run.header.task.n - len(run.rows)
    said = {"path": str(run.path), "rows": len(run.rows), "missing": missing}
    lacking = f", {missing} have no reply, which is wrong" if missing else ""
    emit(said, f"{run.path}: {len(run.rows)} replies{lacking}", as_json=as_json)
