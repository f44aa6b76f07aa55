"""`introspect-bench cite`."""

from __future__ import annotations

import click

from ..console import emit_json


@click.command()
@click.argument("what", nargs=-1, metavar="[WHAT|RUN]...")
@click.option(
    "--format",
    "form",
    type=click.Choice(("text", "bibtex", "cff")),
    default="text",
    show_default=True,
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document with the text.")
def command(what: tuple[str, ...], form: str, as_json: bool) -> None:
    """Print what to cite.

    WHAT is `package`, `paper`, the name of a suite (with what it is made of), of a target or of a
    single work, or a run file; without it, package, paper and everything that ships.
    """
    from .. import api

    text = api.cite(what, form=form)
    if as_json:
        emit_json({"format": form, "text": text})
    else:
        click.echo(text, nl=False)
