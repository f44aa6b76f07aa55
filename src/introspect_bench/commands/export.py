"""`introspect-bench export`, and `import-run`: runs in other forms, or from replies to one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .. import api
from ..console import choice, emit, output

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


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--name", required=True, metavar="NAME", help="Who answered.")
@click.option("--suite", required=True, metavar="NAME", help="Name or folder of a suite.")
@click.option("--task", "-t", required=True, metavar="NAME", help="Task that the replies are to.")
@click.option("--split", default="test", show_default=True, metavar="NAME")
@choice("--format", ("jsonl", "csv"), "JSON lines, or CSV with a line of names.")
@output("Folder of run files.", default="runs")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def import_run(file: Path, format: str, as_json: bool, **options: Any) -> None:
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
