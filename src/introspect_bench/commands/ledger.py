"""`introspect-bench ledger`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .. import api
from ..console import emit, emit_json, emit_table

LEDGER = "submissions/ledger.jsonl"
"""Where it is in a checkout."""


@click.group()
def command() -> None:
    """What was checked, flagged or withdrawn, by whom and why."""


@command.command("show")
@click.option("--ledger", default=LEDGER, show_default=True, metavar="FILE")
@click.option("--entry", metavar="ID", help="Only lines about this entry.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def show(ledger: str, entry: str | None, as_json: bool) -> None:
    """Print the ledger, after checking that no line of it was changed."""
    lines = api.ledger_show(ledger, entry=entry)
    if as_json:
        emit_json({"lines": lines})
    elif lines:
        head = ("date", "event", "entry", "by", "reason")
        emit_table(head, [[line[name] for name in head] for line in lines])


@command.command("add")
@click.argument("entry", metavar="ENTRY", type=click.Path(path_type=Path))
@click.option(
    "--event", required=True, metavar="EVENT", help="accept, flag, withdraw, restore or rescore."
)
@click.option("--reason", required=True, metavar="SENTENCE")
@click.option("--by", required=True, metavar="NAME")
@click.option("--commit", metavar="SHA", help="Of the repository, all 40 digits.")
@click.option("--suite", metavar="DIR", help="Suites elsewhere: a folder, or owner/name@commit.")
@click.option("--ledger", default=LEDGER, show_default=True, metavar="FILE")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def add(entry: Path, ledger: str, as_json: bool, **options: Any) -> None:
    """Append a decision about an entry; nothing that is there is changed."""
    line = api.ledger_add(entry, ledger=ledger, **options)
    emit(line, f"{ledger}:{line['number']}: {line['event']} {line['entry']}", as_json=as_json)
