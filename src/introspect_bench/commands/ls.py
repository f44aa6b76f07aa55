"""`introspect-bench ls`."""

from __future__ import annotations

import click

from introspect_bench.console import emit_json, emit_table

KINDS = ("suites", "tasks", "targets", "baselines", "references")
"""What can be listed."""


@click.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.option("--suite", metavar="DIR", help="With suites: list this folder of suites.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(kind: str, suite: str | None, as_json: bool) -> None:
    """List suites, tasks, targets, baselines or reference explainers."""
    from introspect_bench import api

    rows = api.ls(kind, suite=suite)
    if as_json:
        emit_json({kind: rows})
    elif rows:
        emit_table(tuple(rows[0]), [tuple(row.values()) for row in rows])
