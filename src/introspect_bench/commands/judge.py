"""`introspect-bench judge`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .. import api
from ..bars import progress
from ..console import Grouped, emit_json, grouped

JUDGES = ("exact-predicates", "simulator")
"""What `--judge` takes."""
RATERS = "A language model as judge"


@click.command(cls=Grouped)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option("--suite", metavar="DIR", help="Suites elsewhere: a folder, or owner/name@commit.")
@click.option(
    "--judge",
    "judges",
    multiple=True,
    metavar="NAME",
    help=f"{', '.join(JUDGES)}, or one that a package brings; may be repeated. Default: "
    "exact-predicates, which scoring needs.",
)
@click.option("--device", default="cpu", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@grouped(RATERS, "--model", "-m", metavar="NAME", help="It rates descriptions; see --endpoint.")
@grouped(
    RATERS,
    "--endpoint",
    metavar="URL",
    help="OpenAI-compatible server, such as http://localhost:8000/v1; without it, a local model.",
)
@grouped(
    RATERS,
    "--key-env",
    "--key-variable",
    "key_variable",
    metavar="NAME",
    help="Environment variable with its key.",
)
@grouped(RATERS, "--no-schema", is_flag=True, help="For servers that know no response_format.")
def command(
    runs: tuple[Path, ...],
    judges: tuple[str, ...],
    as_json: bool,
    model: str | None,
    endpoint: str | None,
    key_variable: str | None,
    no_schema: bool,
    **options: Any,
) -> None:
    """Have the descriptions in complete runs judged.

    `run` does this at its end. A judge predicts activations from each description; what it
    predicts is appended to the run file, so that scoring needs no model. Judgements that are there
    are kept: killed at any moment, the same command goes on where it was.

    With --model a language model rates the descriptions against the references instead. That is
    shown beside the metrics, in `score --json`, and ranks nobody. It opens the ground truth, keeps
    replies raw, and fails if more than 2 % of them are malformed.
    """
    if model is None and (endpoint or key_variable or no_schema):
        raise click.UsageError("--endpoint, --key-env and --no-schema go with --model")
    if model is not None and judges:
        raise click.UsageError("--judge and --model are different judges; give one of them")
    server: dict[str, Any] = {
        "endpoint": endpoint,
        "key_variable": key_variable,
        "structured": not no_schema,
    }
    name = "judgements" if model is None else "ratings"
    rows = []
    with progress() as bar:
        options["progress"] = bar
        for path in runs:
            if model is None:
                appended = api.judge(path, judges=judges, **options)
            else:
                appended = api.rate(path, model=model, **server, **options)
            rows.append({"path": str(path), name: appended})
    if as_json:
        emit_json({"runs": rows})
        return
    for row in rows:
        click.echo(f"{row['path']}: {row[name]} {name} appended")
