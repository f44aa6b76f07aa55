"""`introspect-bench ls`, and `cite`: what there is, and what to cite of it."""

from __future__ import annotations

import click

from .. import api
from ..console import emit_json, emit_table

KINDS = ("suites", "tasks", "targets", "baselines", "references", "versions")
"""What can be listed."""
FORMATS = ("text", "bibtex", "cff")
"""Those of `citation.FORMATS`."""


@click.command()
@click.argument("kind", type=click.Choice(KINDS), required=False)
@click.option("--suite", metavar="DIR", help="With suites: list this folder of suites.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(kind: str | None, suite: str | None, as_json: bool) -> None:
    """List suites, tasks, targets, baselines, reference explainers, versions; all without KIND."""
    kinds = KINDS if kind is None and suite is None else (kind or "suites",)
    found = {name: api.ls(name, suite=suite) for name in kinds}
    if as_json:
        emit_json(found)
        return
    for n, rows in enumerate(found.values()):
        if n:
            click.echo()
        if rows:
            emit_table(tuple(rows[0]), [tuple(row.values()) for row in rows])


@click.command()
@click.argument("what", nargs=-1, metavar="[WHAT|RUN]...")
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document with the text.")
def cite(what: tuple[str, ...], form: str, as_json: bool) -> None:
    """Print what to cite.

    WHAT is `package`, `paper`, the name of a suite (with what it is made of), of a target or of a
    single work, or a run file; without it, package, paper and everything that ships.
    """
    text = api.cite(what, form=form)
    if as_json:
        emit_json({"format": form, "text": text})
    else:
        click.echo(text, nl=False)
