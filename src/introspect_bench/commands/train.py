"""`introspect-bench train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from introspect_bench.console import amount, emit_json, injection_options, progress


@click.command()
@click.option("--base", "-b", required=True, metavar="MODEL", help="Folder, hub id or target.")
@click.option("--suite", default="smollm2-135m", show_default=True, metavar="NAME")
@click.option("--task", "-t", "tasks", multiple=True, metavar="NAME", help="Default: all, mixed.")
@click.option("--method", type=click.Choice(["lora", "full"]), default="lora", show_default=True)
@click.option("--n-train", callback=amount, metavar="N|N%", help="Queries of each task.")
@click.option("--epochs", type=int, default=1, show_default=True)
@click.option("--batch-size", type=int, default=16, show_default=True)
@click.option(
    "--accumulation", type=int, default=2, show_default=True, help="Batches of one step, mixed."
)
@click.option("--rank", type=int, default=16, show_default=True, help="Rank of the adapter.")
@click.option("--learning-rate", type=float, default=1e-3, show_default=True, help="Learning rate.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    default="auto",
    show_default=True,
    help="What is computed in; weights stay float32. auto: bfloat16 where it is faster.",
)
@click.option(
    "--decoding",
    type=click.Choice(["greedy", "whole-reply", "compared"]),
    default="greedy",
    show_default=True,
    help="How its replies will be chosen; see `run`.",
)
@click.option("--no-vector", is_flag=True, help="Leave the vectors out (a control).")
@click.option(
    "--twin",
    type=click.Choice(["rotated", "random-init"]),
    help="Start from a changed copy of the base (a control): in a rotated basis, where it computes "
    "the same, or with random weights.",
)
@injection_options
@click.option(
    "--projection",
    type=click.Choice(["none", "random", "aligned", "input-lens"]),
    default="none",
    show_default=True,
    help="Linear maps into the base model's width, trained with it.",
)
@click.option(
    "--align",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Texts to align on, one a line. Default: what the target wrote.",
)
@click.option(
    "--reading",
    type=click.Choice(["before", "beside", "both"]),
    help="Teach reading vectors too, by cheap questions about training vectors: in a phase before "
    "the task, mixed with it, or half and half.",
)
@click.option(
    "--reading-share",
    type=float,
    default=1.0,
    show_default=True,
    metavar="X",
    help="Such questions for each query.",
)
@click.option(
    "--reading-kind", "kinds", multiple=True, metavar="KIND", help="Only these. Default: all."
)
@click.option("--target", metavar="MODEL", help="Target to align with. Default: the suite's.")
@click.option("--device", default="cpu", show_default=True)
@click.option(
    "--output",
    "-o",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Gets the explainer; `run --model DIR` runs it.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(
    injections: tuple[str, ...],
    scalings: tuple[str, ...],
    slots: tuple[str, ...],
    reading: str | None,
    reading_share: float,
    kinds: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Fine-tune an explainer on the training split of a suite.

    Loss on answer tokens alone; stops early by the validation split; the test split is never
    opened. Killed at any moment, the same command goes on where it was.
    """
    from introspect_bench import api
    from introspect_bench.benchmark.backends.injection.parse import parse_injection
    from introspect_bench.benchmark.backends.training.spec import Reading

    if reading is not None:
        options["reading"] = Reading(when=reading, share=reading_share, kinds=kinds)
    elif kinds or reading_share != 1:
        raise click.UsageError("--reading-share and --reading-kind go with --reading")
    with progress() as bar:
        folder = api.train(
            **options,
            injection=parse_injection(injections, scalings, slots),
            on_fetch=bar.bytes,
            on_align=lambda done, total: bar.items("aligning", done, total),
            on_step=lambda done, total, loss: bar.items(
                "training", done, total, note=f"loss {loss:.3f}"
            ),
        )
    if as_json:
        emit_json({"explainer": str(folder)})
    else:
        click.echo(f"{folder}: trained; run it with `introspect-bench run --model {folder}`")
