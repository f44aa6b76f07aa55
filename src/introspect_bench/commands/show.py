"""`introspect-bench show`: queries of a run, or how good a suite's judge is."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import Any

import click

from .. import api
from ..bars import progress
from ..console import emit_json, emit_table, printable

JUDGE = "judge"
"""Shown instead of a run."""
_RUN = ("explainer", "task", "split")


@click.command()
@click.argument("reference", metavar="RUN[:ID]|judge")
@click.option("--suite", metavar="DIR", help="Suites elsewhere: a folder, or owner/name@commit.")
@click.option("--measure", is_flag=True, help="With judge: measure it again, some minutes.")
@click.option("--device", default="cpu", show_default=True, help="With --measure.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(reference: str, suite: str | None, measure: bool, device: str, as_json: bool) -> None:
    """Print queries beside truth, answer and score.

    A line for each query of a run, or of the runs in a folder, or one query in full. `show judge`
    says what the suite's judge of descriptions makes of texts whose worth is known.
    """
    if reference == JUDGE:
        with progress() as bar:
            found = api.show_judge(suite, measure=measure, device=device, progress=bar)
        _emit_quality(found, as_json)
        return
    if measure:
        raise click.UsageError("--measure goes with `show judge`")
    rows = api.show(reference, suite=suite)
    if as_json:
        emit_json({"queries": rows})
    elif ":" in reference and len(rows) == 1:
        for name, value in rows[0].items():
            click.echo(f"{name:>12}  {_indented(value)}")
    else:
        runs = [list(own) for _, own in groupby(rows, itemgetter(*_RUN))]
        for own in runs:
            if len(runs) > 1:
                click.echo(printable(" · ".join(own[0][key] for key in _RUN)))
            score = "exact" if "exact" in own[0] else "matched_auroc"
            head = ("id", "kind", "status", score, "truth", "answer")
            emit_table(head, [[_short(row[name]) for name in head] for row in own])


def _emit_quality(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        emit_json(found)
        return
    rows = []
    for part, own in found.items():
        if part == JUDGE:
            continue
        for text, values in own.items():
            shown = ", ".join(f"{name} {value:.3f}" for name, value in values.items())
            rows.append((part, text, shown))
    click.echo(found[JUDGE])
    emit_table(("features", "description", "value"), rows)


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 48 else f"{text[:47]}…"


def _indented(value: object) -> str:
    """Return a value as text whose further lines stand under the first."""
    return printable(str(value), keep="\n").replace("\n", "\n" + " " * 14)
