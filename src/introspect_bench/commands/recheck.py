"""`introspect-bench recheck` and `ledger`: replies asked for again, and what was decided."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .. import api
from ..bars import progress
from ..console import emit, emit_json, emit_table, printable

LEDGER = "submissions/ledger.jsonl"
"""Where it is in a checkout."""


@click.command()
@click.argument("entry", metavar="ENTRY", type=click.Path(path_type=Path))
@click.option(
    "--k", type=int, metavar="N", help="Queries of each task: 20, or all with --without-target."
)
@click.option("--model", "-m", metavar="MODEL", help="Who is asked; needed but for a baseline.")
@click.option("--task", "-t", "tasks", multiple=True, metavar="NAME", help="Default: all tasks.")
@click.option("--judgements", is_flag=True, help="Ask the frozen judges of descriptions instead.")
@click.option(
    "--without-target",
    is_flag=True,
    help="Ask in a process without the target's weights: what user code of class words needs.",
)
@click.option("--fresh", metavar="DIR", help="Ask all queries of this fresh suite instead.")
@click.option("--nonce", metavar="TEXT", help="Repeat an earlier choice of queries.")
@click.option("--suite", metavar="DIR", help="Suites elsewhere: a folder, or owner/name@commit.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--dtype", metavar="NAME", help="Default: as in the entry.")
@click.option("--endpoint", metavar="URL", help="Server of an openai:NAME, as in `run`.")
@click.option("--key-env", metavar="NAME", help="Environment variable with its key.")
@click.option("--by", default="maintainer", show_default=True, metavar="NAME", help="Who checks.")
@click.option(
    "--ledger",
    default=LEDGER,
    show_default=True,
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
)
@click.option("--no-ledger", is_flag=True, help="Write nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(
    entry: Path, ledger: Path, no_ledger: bool, by: str, as_json: bool, **options: Any
) -> None:
    """Ask the explainer of an entry some of its queries again.

    Which ones is decided by a hash of the entry, a fresh nonce and the query, so that nobody can
    prepare for them. How many answers are the same is appended to the ledger: 90 % of 20 or more
    make an entry spot-checked, 90 % of all make it re-run. With --fresh, a suite that `data make
    --fresh` made confirms a score if public minus fresh is small: the 95 % interval of the gap ends
    below 0.05, and there are 60 groups or more on either side. Exit code 1 if not.

    User code that declares access words is ranked once it gave all its answers with
    --without-target: there, cache and home hold no weights of the suite's target, and loading them
    fails. Look at the code too: a table of replies, or a copy of the weights that it brings, passes
    (the former not with --fresh).
    """
    from ..leaderboard.verification.recheck import check_agreement
    from ..leaderboard.verification.rerun import Recheck

    check, written = Recheck(**options), None if no_ledger else ledger
    with progress() as bar:
        found = api.recheck(entry, check, ledger=written, by=by, progress=bar)
    if as_json:
        emit_json(found)
    elif found["event"] == "fresh":
        names = ("task", "metric", "public", "fresh", "gap", "interval", "groups", "queries")
        emit_table((*names, "confirmed"), [_fresh(row) for row in found["tasks"]])
    else:
        rows = [[row[name] for name in _COUNTS] for row in found["tasks"]]
        emit_table(tuple(_COUNTS.values()), rows)
        click.echo(printable(f"{found['event']} of {found['entry']}, nonce {found['nonce']}"))
    check_agreement(found)


_COUNTS = {
    "task": "task",
    "asked": "asked",
    "agreed": "the same answer",
    "identical": "the same bytes",
}


def _fresh(row: dict[str, Any]) -> list[str]:
    """One task asked anew; groups and queries are the public ones, then the fresh ones."""
    low, high = row["gap_95"]
    sizes = [
        " / ".join(str(row[side][place]) for side in ("public_n", "fresh_n")) for place in (1, 0)
    ]
    values = [f"{row['public']:.3f}", f"{row['fresh']:.3f}", f"{row['gap']:+.3f}"]
    verdict = "yes" if row["confirmed"] else "no"
    return [row["task"], row["metric"], *values, f"[{low:+.3f}, {high:+.3f}]", *sizes, verdict]


@click.group()
def ledger() -> None:
    """What was checked, flagged or withdrawn, by whom and why."""


@ledger.command("show")
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


@ledger.command("add")
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
