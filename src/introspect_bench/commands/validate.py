"""`introspect-bench validate`."""

from __future__ import annotations

from pathlib import Path

import click

from introspect_bench.console import emit_json, emit_table


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(runs: tuple[Path, ...], as_json: bool) -> None:
    """Read run files strictly, and say what is wrong."""
    from introspect_bench import api

    found = [api.validate(path) for path in runs]
    if as_json:
        emit_json({"runs": found})
        return
    emit_table(
        ("verdict", "rows", "suite", "task", "split", "explainer", "file"),
        [
            (
                "ok" if run["complete"] else "ok so far (incomplete)",
                f"{run['rows']} of {run['queries']}",
                run["suite"],
                run["task"],
                run["split"],
                run["explainer"],
                run["path"],
            )
            for run in found
        ],
    )
