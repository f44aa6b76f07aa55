"""`introspect-bench rate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from introspect_bench.console import emit_json, progress


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option("--model", "-m", required=True, metavar="NAME", help="The judge, see --endpoint.")
@click.option(
    "--endpoint",
    metavar="URL",
    help="OpenAI-compatible server, such as http://localhost:8000/v1; without it, a local model.",
)
@click.option("--key-variable", metavar="NAME", help="Environment variable with the server's key.")
@click.option("--no-schema", is_flag=True, help="For servers that know no response_format.")
@click.option("--suite", metavar="DIR", help="Folder of suites that are not in the package.")
@click.option("--device", default="cpu", show_default=True, help="For a local model.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(runs: tuple[Path, ...], no_schema: bool, as_json: bool, **options: Any) -> None:
    """Have a language model rate descriptions against the references.

    A check beside the metrics, in `score --json`; it ranks nobody. Opens the ground truth. Replies
    are cached and kept raw; fails if more than 2 % of them are malformed.
    """
    from introspect_bench import api

    rows = []
    with progress() as bar:
        for path in runs:
            n = api.rate(path, structured=not no_schema, on_fetch=bar.bytes, **options)
            rows.append({"path": str(path), "ratings": n})
    if as_json:
        emit_json({"runs": rows})
        return
    for row in rows:
        click.echo(f"{row['path']}: {row['ratings']} ratings appended")
