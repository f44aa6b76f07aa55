"""`introspect-bench show`."""

from __future__ import annotations

import click

from introspect_bench.console import emit_json, emit_table, printable


@click.command()
@click.argument("reference", metavar="RUN[:ID]")
@click.option("--suite", metavar="DIR", help="Folder of suites that are not in the package.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(reference: str, suite: str | None, as_json: bool) -> None:
    """Print queries beside truth, answer and score.

    A line for each query of a run, or one query in full.
    """
    from introspect_bench import api

    rows = api.show(reference, suite=suite)
    if as_json:
        emit_json({"queries": rows})
    elif ":" in reference and len(rows) == 1:
        for name, value in rows[0].items():
            click.echo(f"{name:>12}  {_indented(value)}")
    else:
        head = ("id", "kind", "status", "exact", "truth", "answer")
        emit_table(head, [[_short(row[name]) for name in head] for row in rows])


def _indented(value: object) -> str:
    """Return a value as text whose further lines stand under the first."""
    return printable(str(value), keep="\n").replace("\n", "\n" + " " * 14)


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 48 else f"{text[:47]}…"
