"""`introspect-bench reference`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from introspect_bench.console import amount, emit_json, progress


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--base", "-b", metavar="MODEL", help="Instead of the recipe's own.")
@click.option("--suite", default="smollm2-135m", show_default=True, metavar="NAME")
@click.option("--task", "-t", "tasks", multiple=True, metavar="NAME", help="Default: all, mixed.")
@click.option("--split", default="test", show_default=True, metavar="NAME")
@click.option("--n-train", callback=amount, metavar="N|N%", help="Queries of each task.")
@click.option("--epochs", type=int, default=1, show_default=True)
@click.option(
    "--learning-rate", type=float, metavar="RATE", help="Learning rate; default: the recipe's."
)
@click.option(
    "--evaluations", type=int, metavar="N", help="Validations in training; default: the recipe's."
)
@click.option("--train-only", is_flag=True, help="Answer nothing.")
@click.option("--shuffled", is_flag=True, help="Also answer with vectors shuffled (a control).")
@click.option("--device", default="cpu", show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--output",
    "-o",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Gets explainers/NAME and runs/.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(
    names: tuple[str, ...],
    epochs: int,
    learning_rate: float | None,
    evaluations: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train reference explainers or their controls by their recipes, and run them.

    `introspect-bench ls references` lists the recipes. Killed at any moment, the same command goes
    on where it was.
    """
    from introspect_bench import api
    from introspect_bench.baselines.train_recipes import EXPLAINERS

    asked = {"epochs": epochs, "learning_rate": learning_rate, "evaluations": evaluations}
    with progress() as bar:
        found = api.reference(
            names,
            **options,
            settings={key: value for key, value in asked.items() if value is not None},
            on_fetch=bar.bytes,
            on_align=lambda done, total: bar.items("aligning", done, total),
            on_step=lambda name: (
                lambda done, total, loss: bar.items(
                    f"training {name}", done, total, note=f"loss {loss:.3f}"
                )
            ),
            on_queries=lambda task, done, total: bar.items(f"answering {task}", done, total),
            on_answers=lambda judge, done, total: bar.items(f"asking {judge}", done, total),
        )
    explainers = {name: str(options["output"] / EXPLAINERS / name) for name in found}
    runs = {name: [str(run.path) for run in of] for name, of in found.items()}
    if as_json:
        emit_json({"references": runs, "explainers": explainers})
        return
    for name, of in runs.items():
        for path in of or [explainers[name]]:
            click.echo(path)
