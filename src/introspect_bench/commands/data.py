"""`introspect-bench data`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from .. import api
from ..bars import progress
from ..console import emit, emit_json, emit_table, output, printable

SHOWN = 10
"""Rows left out by an import that are shown."""


@click.group()
def command() -> None:
    """The frozen suites: check, find, make, or import them."""


@command.command("verify")
@click.option("--suite", metavar="NAME", help="A suite by name, a folder, or owner/name@commit.")
@click.option("--task", "-t", "tasks", multiple=True, metavar="NAME", help="Only this task.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def verify(suite: str | None, tasks: tuple[str, ...], as_json: bool) -> None:
    """Hash every byte of the suites, and compare what the manifests say with the files."""
    with progress() as bar:
        found = api.data_verify(suite, tasks, progress=bar)
    if as_json:
        emit_json({"suites": found})
        return
    names = ("suite", "task", "version", "files")
    rows = [
        ["ok" if row["frozen"] else "ok (draft)", *(row[name] for name in names)] for row in found
    ]
    emit_table(("verdict", *names), rows)


@command.command("nulls")
@click.option("--suite", metavar="NAME", help="A suite by name, a folder, or owner/name@commit.")
@click.option("--task", "-t", "tasks", multiple=True, metavar="NAME", help="Only this task.")
@click.option(
    "--split", type=click.Choice(["validation", "test"]), default="test", show_default=True
)
@click.option("--refit", is_flag=True, help="Fit them again, and compare with the manifests.")
@click.option("--markdown", is_flag=True, help="A table for a data card.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def nulls(split: str, markdown: bool, as_json: bool, **options: Any) -> None:
    """Say what rules that cannot introspect score, in one table.

    Metrics are in percent. `--refit` runs the target and takes minutes.
    """
    with progress() as bar:
        rows = api.data_nulls(split=split, progress=bar, **options)
    names = list(dict.fromkeys(name for row in rows for name in row["metrics"]))
    cells = [[_percent(row["metrics"].get(name)) for name in names] for row in rows]
    if as_json:
        emit_json({"split": split, "nulls": rows})
    elif markdown:
        click.echo(f"| null | access | {' | '.join(names)} |\n|---|---|{'---:|' * len(names)}")
        for row, values in zip(rows, cells, strict=True):
            click.echo(printable(f"| {' | '.join([row['name'], row['access'], *values])} |"))
    else:
        said = [
            [row["suite"], row["task"], row["access"], *values, row["name"]]
            for row, values in zip(rows, cells, strict=True)
        ]
        emit_table(("suite", "task", "access", *names, "null"), said)
    api.check_nulls(rows)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


@command.command("path")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def path(as_json: bool) -> None:
    """Say where the suites and the cache of target models are."""
    found = api.data_path()
    if as_json:
        emit_json(found)
    else:
        emit_table(("what", "where"), list(found.items()))


@command.command("make")
@click.option("--target", required=True, metavar="NAME", help="Named target, hub id or folder.")
@click.option("--task", "-t", required=True, metavar="NAME", help="Task to make the suite for.")
@click.option("--seed", type=int, metavar="N", help="Chooses prompts and sources. Default: 0.")
@click.option(
    "--fresh",
    type=int,
    metavar="N",
    help="Make a test split alone, with this seed and of facts that no public split has.",
)
@click.option("--split", type=click.Choice(["test"]), help="The split that --fresh makes.")
@click.option(
    "--suite", metavar="NAME", help="The public suite of --fresh. Default: the target's name."
)
@click.option("--device", default="cpu", show_default=True, metavar="NAME")
@click.option("--draft", is_flag=True, help="Write it even if it misses its bars.")
@click.option(
    "--accept-missed-bars",
    "accept_misses",
    is_flag=True,
    help="Freeze it even if it misses bars; the manifest names them, and it stays out of Overall.",
)
@output("Gets SUITE/TASK/VERSION; `run --suite DIR/SUITE` runs it.", default="suites")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def make(
    target: str,
    seed: int | None,
    fresh: int | None,
    split: str | None,
    suite: str | None,
    output: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Make a suite for a target model from nothing.

    Hours of computing; killed at any moment, the same command goes on where it was. Refuses to
    freeze a suite that misses its bars, but shows its statistics.
    """
    from ..tasks.build.order import NotFrozenError

    if fresh is None and (split or suite):
        raise click.UsageError("--split and --suite go with --fresh")
    if fresh is not None and seed is not None:
        raise click.UsageError("give --fresh N or --seed N; both name the seed")
    try:
        with progress() as bar:
            where, manifest = api.data_make(
                target,
                seed=(seed or 0) if fresh is None else fresh,
                fresh_of=None if fresh is None else suite or target,
                out_dir=output,
                progress=bar,
                **options,
            )
    except NotFrozenError as error:
        _emit(None, error.statistics, as_json=as_json)
        raise
    _emit(where, manifest["statistics"], as_json=as_json)
    for line in manifest.get("bars_missed", []):
        click.echo(f"BAR MISSED: {line}", err=True)


@command.command("import")
@click.argument("what", type=click.Choice(["paper"]))
@click.option("--target", required=True, metavar="NAME", help="qwen3-8b or llama-3.1-8b.")
@click.option("--task", "-t", required=True, metavar="NAME", help="Task to import.")
@click.option(
    "--source",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder of the published files. Default: the dataset on the hub.",
)
@click.option("--revision", metavar="COMMIT", help="Of the hub's. Default: its newest.")
@click.option("--split", "splits", multiple=True, metavar="NAME", help="Default: test and train.")
@output("Gets SUITE/TASK/VERSION; `run --suite DIR/SUITE` runs it.", default="suites")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def data_import(what: str, splits: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Import the published data of the paper (arXiv:2511.08579) as a suite.

    Every column is checked. Rows that are unusable, repeated or contradicted stay out; a file
    beside the suite lists them. What its truth says was measured by others, so it ranks nobody.
    """
    if splits:
        options["splits"] = splits
    with progress() as bar:
        found = api.data_import(what, progress=bar, **options)
    if as_json:
        emit_json(found)
        return
    rejected = found["rejected"]
    for one in rejected[:SHOWN]:
        said = f"{one['split']}, row {one['row']}: {one['what']}: {one['reason']}"
        click.echo(printable(said), err=True)
    if len(rejected) > SHOWN:
        click.echo(f"and {len(rejected) - SHOWN} more, see {found['rejected_file']}", err=True)
    rows = [(s, *one) for s, counts in found["imported"]["rows"].items() for one in counts.items()]
    emit_table(("split", "rows", "number"), rows)
    click.echo(found["path"])


def _emit(where: Path | None, statistics: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit_json({"path": None if where is None else str(where), "statistics": statistics})
        return
    rows = [
        (split, name, value) for split, found in statistics.items() for name, value in flat(found)
    ]
    emit_table(("split", "statistic", "value"), rows)
    if where is not None:
        click.echo(str(where))


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the numbers of nested objects with dotted names, rounded for reading."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", f"{value:.3f}" if isinstance(value, float) else str(value)


@command.command("hold-out")
@click.argument("suite")
@click.option("-n", "n", type=int, default=1000, show_default=True, help="Queries of each task.")
@click.option("--task", "-t", "tasks", multiple=True, metavar="NAME", help="Default: all causal.")
@output("Gets TASK/VERSION; `train` and `run` take it with `--suite DIR`.", required=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def hold_out(suite: str, n: int, tasks: tuple[str, ...], output: Path, as_json: bool) -> None:
    """Hold out a part of train, to choose recipes without validation or test.

    The new suite's train is what is left of train, its validation the part held out; it has no
    test. Base texts and vectors of the two are disjoint; subjects that both speak of are counted.
    """
    rows = api.data_hold_out(suite, n, output, tasks=tasks)
    if as_json:
        emit_json({"held_out": rows})
        return
    lines = [
        (row["task"], name, value)
        for row in rows
        for name, value in flat({**row["queries"], **row["held_out"]})
    ]
    emit_table(("task", "what", "value"), lines)


@command.command("export")
@click.argument("path", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--to", type=click.Choice(["hf"]), required=True)
@click.option("--suite", metavar="NAME", default="smollm2-135m", show_default=True)
@click.option("--task", "-t", "tasks", multiple=True, metavar="NAME", help="Default: all tasks.")
@click.option("--push", metavar="OWNER/NAME", help="Upload it; a new repository is private.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def export(path: Path, as_json: bool, **options: Any) -> None:
    """Write suites as a dataset repository for a hub, truth included as they ship it.

    `load_dataset(DIR, TASK)` reads it, and `--suite DIR`; nothing is uploaded without --push, which
    prints what `--suite` takes to read it back.
    """
    written = api.data_export(path, **options)
    emit(written, str(written["suite"]), as_json=as_json)


@command.command("metric-card")
@click.option("--json", "as_json", is_flag=True, help="One JSON document: the figures alone.")
def metric_card(as_json: bool) -> None:
    """Print what each metric makes of answers known to be worth something or nothing."""
    from ..benchmark.metrics.card import TASKS, data_metric_card, figures_of

    if as_json:
        emit_json({task: figures_of(task) for task in TASKS})
    else:
        click.echo(data_metric_card(), nl=False)
