"""`introspect-bench train`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from .. import api
from ..bars import progress
from ..console import (
    Grouped,
    amount,
    choice,
    config_option,
    confirm_overwrite,
    emit,
    emit_json,
    emit_table,
    grouped,
    injection_options,
    minutes,
    output,
    overwrite_options,
)

if TYPE_CHECKING:
    from ..benchmark.backends.training.command import TrainPlan

EXPLICIT = (
    ParameterSource.COMMANDLINE,
    ParameterSource.ENVIRONMENT,
    ParameterSource.DEFAULT_MAP,
)
RECIPE = "By a recipe"
VECTORS = "How vectors enter"
READING = "Teaching to read vectors"
WITH_RECIPE = {
    "base", "suite", "tasks", "n_train", "epochs", "learning_rate", "evaluations", "device",
    "seed", "output", "as_json", "recipes", "answer", "shuffled",
    "overwrite", "yes",
}  # fmt: skip
"""Options that may be given with a recipe, which says the others."""


def _template(_ctx: click.Context, _param: click.Parameter, path: Path | None) -> str | None:
    """Read a file's text."""
    try:
        return None if path is None else path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"no text can be read from {path}: {error}") from None


@click.command(cls=Grouped)
@config_option()
@click.option("--base", "-b", metavar="MODEL", help="Folder, hub id or target.")
@click.option("--suite", default="smollm2-135m", show_default=True, metavar="NAME")
@click.option("--task", "-t", "tasks", multiple=True, metavar="NAME", help="Default: all, mixed.")
@choice("--method", ("lora", "full"))
@click.option("--n-train", callback=amount, metavar="N|N%", help="Queries of each task.")
@click.option("--epochs", type=int, default=1, show_default=True)
@click.option("--batch-size", type=int, default=16, show_default=True)
@click.option(
    "--accumulation", type=int, default=2, show_default=True, help="Batches of one step, mixed."
)
@click.option("--rank", type=int, default=16, show_default=True, help="Rank of the adapter.")
@click.option("--learning-rate", type=float, default=1e-3, show_default=True)
@click.option(
    "--evaluations",
    type=int,
    metavar="N",
    help="Validations in training, at most. Default: as many as take a tenth of the time.",
)
@click.option("--dry-run", is_flag=True, help="Say queries, steps and time; load nothing.")
@overwrite_options()
@click.option("--seed", type=int, default=0, show_default=True)
@choice(
    "--precision",
    ("auto", "float32", "bfloat16"),
    "What is computed in; weights stay float32. auto: bfloat16 where it is faster.",
)
@choice(
    "--decoding",
    ("greedy", "whole-reply", "compared"),
    "How its replies will be chosen; see `run`.",
)
@click.option("--no-vector", is_flag=True, help="Leave the vectors out (a control).")
@click.option(
    "--twin",
    type=click.Choice(["rotated", "random-init"]),
    help="Start from a changed copy of the base (a control): in a rotated basis, where it computes "
    "the same, or with random weights.",
)
@click.option(
    "--chat-template",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    callback=_template,
    metavar="FILE",
    help="Template of turns, in Jinja, for a base without one; the explainer keeps it.",
)
@injection_options(VECTORS)
@grouped(
    VECTORS,
    "--projection",
    type=click.Choice(["none", "random", "aligned", "input-lens"]),
    default="none",
    show_default=True,
    help="Linear maps into the base model's width, trained with it.",
)
@grouped(
    VECTORS,
    "--align",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Texts to align on, one a line. Default: what the target wrote.",
)
@grouped(
    READING,
    "--reading",
    type=click.Choice(["before", "beside", "both"]),
    help="Teach reading vectors too, by cheap questions about training vectors: in a phase before "
    "the task, mixed with it, or half and half.",
)
@grouped(
    READING,
    "--reading-share",
    type=float,
    default=1.0,
    show_default=True,
    metavar="X",
    help="Such questions for each query.",
)
@grouped(
    READING,
    "--reading-kind",
    "kinds",
    multiple=True,
    metavar="KIND",
    help="Only these. Default: all.",
)
@grouped(VECTORS, "--target", metavar="MODEL", help="Target to align with. Default: the suite's.")
@grouped(
    RECIPE,
    "--recipe",
    "recipes",
    multiple=True,
    metavar="NAME",
    help="A reference explainer or control, as `ls references` lists them; may be repeated.",
)
@grouped(RECIPE, "--answer", metavar="SPLIT", help="Then have it answer a split, such as test.")
@grouped(RECIPE, "--shuffled", is_flag=True, help="Also answer with vectors shuffled (a control).")
@click.option("--device", default="cpu", show_default=True)
@click.option("--report-to", metavar="NAME", help="Log there too: wandb, trackio or tensorboard.")
@output("Gets the explainer; by recipes explainers/NAME and runs/.", required=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(
    recipes: tuple[str, ...],
    answer: str | None,
    shuffled: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Fine-tune an explainer on the training split of a suite.

    Loss on answer tokens alone; stops early by the validation split; the test split is never
    opened. Killed at any moment, the same command goes on where it was. A recipe says how a
    reference explainer is made; its options can't be given with it.
    """
    from ..benchmark.backends.injection.spec import parse_injection

    if recipes and dry_run:
        raise click.UsageError("--dry-run is for a training without --recipe")
    if options["overwrite"] and not dry_run:
        folders = [options["output"] / "explainers" / name for name in recipes]
        confirm_overwrite(folders or [options["output"]], yes=yes)
    if recipes:
        ctx = click.get_current_context()
        given = {name for name in ctx.params if ctx.get_parameter_source(name) in EXPLICIT}
        if wrong := sorted(given - WITH_RECIPE):
            raise click.UsageError(f"a recipe says {', '.join(wrong)} itself")
        options |= {name: None for name in ("epochs", "learning_rate") if name not in given}
        _train_recipes(recipes, answer, shuffled, as_json, options)
        return
    if answer or shuffled:
        raise click.UsageError("--answer and --shuffled go with --recipe; use `run`")
    if options["base"] is None:
        raise click.UsageError("give --base MODEL, or --recipe NAME")
    options |= _reading(*(options.pop(name) for name in ("reading", "reading_share", "kinds")))
    vectors = [options.pop(name) for name in ("injections", "scalings", "slots")]
    if dry_run:
        _emit_plan(api.plan_training(**options), as_json)
        return
    with progress() as bar:
        folder = api.train(
            **options,
            injection=parse_injection(*vectors),
            progress=bar,
        )
    said = f"{folder}: trained; run it with `introspect-bench run --model {folder}`"
    emit({"explainer": str(folder)}, said, as_json=as_json)


def _reading(when: str | None, share: float, kinds: tuple[str, ...]) -> dict[str, Any]:
    from ..benchmark.backends.training.spec import Reading

    if when is not None:
        return {"reading": Reading(when=when, share=share, kinds=kinds)}
    if kinds or share != 1:
        raise click.UsageError("--reading-share and --reading-kind go with --reading")
    return {}


def _emit_plan(plan: TrainPlan, as_json: bool) -> None:
    if as_json:
        emit_json({"plan": dataclasses.asdict(plan)})
        return
    rows = [(task, n, plan.validation[task]) for task, n in plan.queries.items()]
    emit_table(("task", "queries", "validation"), rows)
    click.echo(
        f"{plan.path}: about {plan.steps} steps, {plan.evaluations} validations, about "
        f"{plan.prompt_tokens:,} prompt tokens, {minutes(plan.seconds)}"
    )


def _train_recipes(
    names: tuple[str, ...], answer: str | None, shuffled: bool, as_json: bool, options: Any
) -> None:
    from ..baselines.train_recipes import EXPLAINERS

    own = ("epochs", "learning_rate", "evaluations", "overwrite")
    kept = ("base", "suite", "tasks", "n_train", "device", "seed", "output")
    with progress() as bar:
        found = api.train_recipes(
            names,
            **{name: options[name] for name in kept},
            split=answer,
            shuffled=shuffled,
            settings={
                n: options[n] for n in own if options[n] is not None and options[n] is not False
            },
            progress=bar,
        )
    explainers = {name: str(options["output"] / EXPLAINERS / name) for name in found}
    runs = {name: [str(run.path) for run in of] for name, of in found.items()}
    if as_json:
        emit_json({"runs": runs, "explainers": explainers})
        return
    for name, of in runs.items():
        for path in of or [explainers[name]]:
            click.echo(path)
