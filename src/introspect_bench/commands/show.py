"""`introspect-bench show`: queries of a run, or how good a suite's simulator is."""

from __future__ import annotations

from typing import Any

import click

from introspect_bench.console import emit_json, emit_table, printable, progress

SIMULATOR = "simulator"
"""Shown instead of a run."""
MARGINS = ("auroc", "gain")
"""Numbers of its quality besides the correlations."""


@click.command()
@click.argument("reference", metavar="RUN[:ID]|simulator")
@click.option("--suite", metavar="DIR", help="Folder of suites that are not in the package.")
@click.option("--measure", is_flag=True, help="With simulator: measure it again, some minutes.")
@click.option("--device", default="cpu", show_default=True, help="With --measure.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(reference: str, suite: str | None, measure: bool, device: str, as_json: bool) -> None:
    """Print queries beside truth, answer and score.

    A line for each query of a run, or one query in full. `show simulator` says how well the suite's
    simulator predicts activations of features it was not trained on.
    """
    from introspect_bench import api

    if reference == SIMULATOR:
        with progress() as bar:
            found = api.show_simulator(suite, measure=measure, device=device, on_fetch=bar.bytes)
        _emit_quality(found, as_json)
        return
    if measure:
        raise click.UsageError("--measure goes with `show simulator`")
    rows = api.show(reference, suite=suite)
    if as_json:
        emit_json({"queries": rows})
    elif ":" in reference and len(rows) == 1:
        for name, value in rows[0].items():
            click.echo(f"{name:>12}  {_indented(value)}")
    else:
        score = "exact" if "exact" in rows[0] else "pearson"
        head = ("id", "kind", "status", score, "truth", "answer")
        emit_table(head, [[_short(row[name]) for name in head] for row in rows])


def _emit_quality(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        emit_json(found)
        return
    rows = [
        (f"r, {kind}", f"{part['mean']:.3f}", _ends(part), f"median {part['median']:.3f}")
        for kind, part in found["r"].items()
    ]
    rows += [(name, f"{found[name]['value']:.3f}", _ends(found[name]), "") for name in MARGINS]
    rows += [
        (f"bar {name}", f"{bar['value']:.3f}", f"{bar['bar']}", "met" if bar["met"] else "missed")
        for name, bar in found["bars"].items()
    ]
    simulator = found["simulator"]
    click.echo(f"{simulator['name']}@{simulator['sha256'][:12]}: {found['features']} features")
    emit_table(("number", "value", "95 % interval", ""), rows)


def _ends(part: dict[str, Any]) -> str:
    low, high = part["interval"]
    return f"{low:.3f} to {high:.3f}"


def _indented(value: object) -> str:
    """Return a value as text whose further lines stand under the first."""
    return printable(str(value), keep="\n").replace("\n", "\n" + " " * 14)


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 48 else f"{text[:47]}…"
