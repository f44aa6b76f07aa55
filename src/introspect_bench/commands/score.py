"""`introspect-bench score`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .. import api
from ..benchmark.export import tables as table
from ..benchmark.export.tables import TITLES, write_results
from ..console import emit_json, emit_labels, emit_table, printable, warn_unread


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option("--suite", metavar="DIR", help="Suites elsewhere: a folder, or owner/name@commit.")
@click.option(
    "--protocol",
    type=click.Choice(["paper"]),
    help="Also the metrics of arXiv:2511.08579, by its own rules; they rank nobody.",
)
@click.option("--check", is_flag=True, help="Fail unless it can be submitted.")
@click.option("--details", is_flag=True, help="Also each kind of query and block of layers.")
@click.option("--markdown", is_flag=True, help="Markdown, a table for each task and split.")
@click.option(
    "--readme",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the Markdown between the results markers of this file.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document with everything.")
def command(
    runs: tuple[Path, ...],
    suite: str | None,
    protocol: str | None,
    check: bool,
    details: bool,
    markdown: bool,
    readme: Path | None,
    as_json: bool,
) -> None:
    """Score run files, or folders of them, against the ground truth.

    No model, no network, the same bytes every time. Every query counts; one that was not answered,
    or whose answer cannot be read, is wrong. --check fails on partial and incomplete runs, drafts
    of suites, and claimed numbers that differ.
    """
    results = api.score_all(runs, suite=suite, protocol=protocol)
    warn_unread(results)
    text = table.markdown(results)
    if readme is not None:
        write_results(readme, text)
        click.echo(f"wrote {readme}", err=True)
    if as_json:
        emit_json({"results": results, "markdown": text} if markdown else {"results": results})
    elif markdown:
        click.echo(text, nl=False)
    elif readme is None:
        click.echo(table.plain(results), nl=False)
        emit_labels(results)
        for result in results if protocol else ():
            emit_paper(result)
        for result in results if details else ():
            emit_details(result)
    if check:
        from ..benchmark.runs.run import run_files

        for path, result in zip(run_files(runs), results, strict=True):
            api.check_score(path, result)


def emit_paper(result: dict[str, Any]) -> None:
    """Print the metrics of the paper's protocol on one line, in per cent."""
    found = result["paper"]
    if found is None:
        return
    out = ", ".join(f"{name} {n}" for name, n in found["left_out"].items() if n)
    values = found["metrics"] or {}
    said = ", ".join(f"{name.replace('_', ' ')} {100 * one:.1f}" for name, one in values.items())
    who = printable(result["explainer"]["name"])
    click.echo(
        f"paper's protocol · {result['task']} · {who}: {said or 'no query'} "
        f"({found['n']} queries{'; left out: ' if out else ''}{out})"
    )


def emit_details(result: dict[str, Any]) -> None:
    """Print the parts of a result that are reported apart."""
    explainer, names = result["explainer"]["name"], result["metrics"]
    if result["descriptions"]:
        emit_descriptions(result["descriptions"])
    parts = (
        ("by_kind", "kind"),
        ("by_layers", "layers"),
        ("by_margin", "margin of the label"),
        ("by_distance", "distance from train"),
    )
    for part, title in parts:
        if not result[part]:
            continue
        click.echo(f"\n{result['task']} · {result['split']} · by {title}")
        head = ("explainer", title, "queries", *(TITLES.get(name, name) for name in names))
        rows = []
        for key, value in result[part].items():
            cells = [table.cell(name, value["metrics"][name]) for name in names]
            rows.append((explainer, key, value["n"], *cells))
        emit_table(head, rows)


def emit_descriptions(found: dict[str, Any]) -> None:
    """Print how long descriptions are, how they were read, and what other judges make of them."""
    if found["mean_characters"] is not None:
        click.echo(
            f"\ndescriptions: {found['distinct']} distinct, {found['mean_characters']:.0f} "
            f"characters on average, {found['truncated']} cut off"
        )
    if found["mapped"] is not None:
        shares = ", ".join(f"{name} {share:.1%}" for name, share in found["mapped"].items())
        click.echo(f"read by: {shares}")
    for judge, metrics in found["judges"].items():
        for name, value in metrics.items():
            click.echo(f"{printable(judge)}: {TITLES.get(name, name)} {_with_interval(value)}")
    for name, rating in found["ratings"].items():
        click.echo(
            f"{printable(name)}: mean rating {_with_interval(rating)}, "
            f"{rating['malformed']} replies malformed"
        )


def _with_interval(part: dict[str, Any]) -> str:
    if part.get("value") is None:
        return "none"
    ends = part["interval_95"]
    return f"{part['value']:.3f}" + (f" [{ends[0]:.3f}, {ends[1]:.3f}]" if ends else "")
