"""`introspect-bench validate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from introspect_bench.console import emit_json, emit_table, printable


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help="Fail if one of them cannot be submitted.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(runs: tuple[Path, ...], strict: bool, as_json: bool) -> None:
    """Read run files strictly, and say what is wrong.

    A partial or incomplete run is a sound file that cannot be submitted; --strict refuses it.
    """
    from introspect_bench import api

    found = [api.validate(path, strict=strict) for path in runs]
    if as_json:
        emit_json({"runs": found})
        return
    emit_table(
        ("verdict", "rows", "suite", "task", "split", "explainer", "file"),
        [
            (
                _verdict(run),
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
    for run in found:
        if run["cannot_submit"]:
            click.echo(printable(f"{run['path']}: {run['cannot_submit']}"))


def _verdict(run: dict[str, Any]) -> str:
    verdict = "ok" if run["complete"] else "ok so far (incomplete)"
    return f"{verdict} (partial)" if run["partial"] else verdict
