"""`introspect-bench cite`."""

from __future__ import annotations

import click

from .. import api
from ..console import emit_json

FORMATS = ("text", "bibtex", "cff")
"""Those of `citation.FORMATS`."""


@click.command()
@click.argument("what", nargs=-1, metavar="[WHAT|RUN]...")
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document with the text.")
def command(what: tuple[str, ...], form: str, as_json: bool) -> None:
    """Print what to cite.

    WHAT is `package`, `paper`, the name of a suite (with what it is made of), of a target or of a
    single work, or a run file; without it, package, paper and everything that ships.
    """
    text = api.cite(what, form=form)
    if as_json:
        emit_json({"format": form, "text": text})
    else:
        click.echo(text, nl=False)
