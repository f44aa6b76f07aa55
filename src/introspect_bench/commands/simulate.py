"""`introspect-bench simulate`."""

from __future__ import annotations

from pathlib import Path

import click

from introspect_bench.console import emit_json, progress

JUDGES = ("exact-predicates", "simulator")
"""What `--judge` takes."""


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option("--suite", metavar="DIR", help="Folder of suites that are not in the package.")
@click.option(
    "--judge",
    "judges",
    multiple=True,
    type=click.Choice(JUDGES),
    help="May be repeated. Default: exact-predicates, which scoring needs.",
)
@click.option("--device", default="cpu", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(
    runs: tuple[Path, ...], suite: str | None, judges: tuple[str, ...], device: str, as_json: bool
) -> None:
    """Have the descriptions in complete runs judged.

    `run` does this at its end. A judge predicts activations from each description; what it
    predicts is appended to the run file, so that scoring needs no model. Judgements that are there
    are kept: killed at any moment, the same command goes on where it was.
    """
    from introspect_bench import api

    rows = []
    with progress() as bar:
        for path in runs:
            appended = api.simulate(
                path,
                suite=suite,
                judges=judges,
                device=device,
                on_fetch=bar.bytes,
                on_answers=lambda judge, done, total: bar.items(f"asking {judge}", done, total),
            )
            rows.append({"path": str(path), "judgements": appended})
    if as_json:
        emit_json({"runs": rows})
        return
    for row in rows:
        click.echo(f"{row['path']}: {row['judgements']} judgements appended")
