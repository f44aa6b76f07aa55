"""`introspect-bench version`."""

from __future__ import annotations

import click

from introspect_bench.console import emit_json


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document with all versions.")
def command(as_json: bool) -> None:
    """Say which version this is, and of what it is made."""
    from introspect_bench import api

    found = api.version()
    if as_json:
        emit_json(found)
    else:
        click.echo(f"introspect-bench {found['package']['version']}")
