"""`introspect-bench run`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import api
from ..bars import progress
from ..benchmark.endpoint.chat_reply import FILTERED
from ..benchmark.endpoint.limits import OPENAI, EndpointSpec
from ..benchmark.evaluation.spec import PROTOCOLS, RunSpec
from ..benchmark.export import tables as table
from ..console import (
    Declared,
    Grouped,
    amount,
    config_option,
    confirm_overwrite,
    emit_json,
    emit_labels,
    emit_table,
    grouped,
    injection_options,
    minutes,
    overwrite_options,
    warn_unread,
)

if TYPE_CHECKING:
    from ..benchmark.evaluation.plan import TaskPlan
    from ..benchmark.runs.run import Run

SERVED = (
    *("url", "key_env", "concurrency", "timeout_seconds", "requests_per_minute"),
    *("tokens_per_minute", "price_in", "price_out", "max_cost"),
)
"""Options that are fields of `EndpointSpec`."""
DEFAULTS = {field.name: field.default for field in dataclasses.fields(RunSpec)}
"""Defaults of the options, by name."""


def option(*names: str, help: str, title: str = "", **more: Any) -> Callable[[Declared], Declared]:
    """Declare an option of `run` that shows the default `RunSpec` has for it."""
    default = DEFAULTS[names[0].partition("/")[0].removeprefix("--").replace("-", "_")]
    return grouped(title, *names, default=default, show_default=True, help=help, **more)


def batch_size(_ctx: click.Context, _param: click.Parameter, word: str) -> int | None:
    """Read a whole number, or `auto` for None."""
    if word == "auto":
        return None
    try:
        return int(word)
    except ValueError:
        raise click.BadParameter(f"{word!r} is neither a whole number nor 'auto'") from None


VECTORS, CONTROLS, LOCAL, MORE = "How vectors enter", "Controls", "Local language models", "More"
SERVER = "A model behind an endpoint"


@click.command(cls=Grouped)
@click.option(
    "--model",
    "-m",
    required=True,
    metavar="MODEL",
    help="baseline/NAME, a folder, a hub id, a target's name, lm-eval:BACKEND,ARGS, openai:NAME, "
    "or py:module:Class.",
)
@click.option("--task", "-t", "tasks", multiple=True, metavar="NAME", help="Default: all tasks.")
@option("--split", metavar="NAME", help="train, validation, test, or mini.")
@option("--suite", metavar="NAME", help="A suite by name, a folder, or owner/name@commit.")
@option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder of run files.",
)
@click.option("--limit", type=int, metavar="N", help="Only the first N queries (partial run).")
@click.option("--dry-run", is_flag=True, help="Say queries, tokens, time and disk; load nothing.")
@option("--device", metavar="NAME", help="Such as auto, cpu, cuda or cuda:1.")
@click.option(
    "--batch-size",
    callback=batch_size,
    metavar="N|auto",
    default="auto",
    show_default=True,
    help="auto: 128 prompts at once, and half as many each time that memory ends.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@injection_options(VECTORS)
@grouped(CONTROLS, "--no-vector", is_flag=True, help="Withhold the vectors.")
@grouped(CONTROLS, "--shuffle-vectors", is_flag=True, help="Give each query another one's vector.")
@grouped(CONTROLS, "--shots", type=int, metavar="K", help="Solved training queries to show.")
@option(
    "--n-train",
    title=CONTROLS,
    callback=amount,
    metavar="N|N%",
    help="Training queries a baseline learns from.",
)
@option("--seed", title=CONTROLS, type=int, metavar="N", help="Chooses solved queries.")
@option(
    "--decoding",
    title=LOCAL,
    type=click.Choice(["greedy", "whole-reply", "compared"]),
    help="How a reply is chosen: token by token, the likeliest as a whole, or with a verdict by "
    "comparison with the reply that is given without the vector (as a whole for tasks without "
    "vectors).",
)
@option("--max-new-tokens", title=LOCAL, type=int, metavar="N", help="Longest reply.")
@option(
    "--thinking/--no-thinking",
    title=LOCAL,
    help="Whether the model thinks first, where its chat template knows the choice.",
)
@option("--system", title=LOCAL, metavar="TEXT", help="Text before the instructions.")
@option(
    "--family",
    title=LOCAL,
    metavar="NAME",
    help="Convention of prompts: paper, activation-oracle, latentqa or selfie-adapter[:FILE].",
)
@option(
    "--protocol",
    title=LOCAL,
    type=click.Choice(PROTOCOLS),
    help="paper: the prompts and ends of replies of arXiv:2511.08579 (--family paper alone keeps "
    "our wording); paper-zero-shot: its prompt for untrained models, hints only.",
)
@option("--base", title=LOCAL, metavar="MODEL", help="Base of an adapter, where it moved.")
@option("--dtype", title=LOCAL, metavar="NAME", help="auto, float32, bfloat16 or float16.")
@option("--device-map", title=LOCAL, metavar="auto", help="Spread the model over all devices.")
@option("--quantization", title=LOCAL, metavar="8bit|4bit", help="Pack its weights (bitsandbytes).")
@option(
    "--engine",
    title=LOCAL,
    metavar="vllm",
    help="Let vLLM decode; vectors enter at the input embedding (--injection embedding) alone.",
)
@grouped(
    SERVER,
    "--endpoint",
    "url",
    metavar="URL",
    help=f"OpenAI-compatible server of openai:NAME, up to /v1; {OPENAI} if not given.",
)
@grouped(
    SERVER,
    "--key-env",
    metavar="NAME",
    help="Environment variable with its key; OPENAI_API_KEY if not given.",
)
@grouped(SERVER, "--concurrency", type=int, metavar="N", help="Most requests under way; 4.")
@grouped(SERVER, "--timeout", "timeout_seconds", type=float, metavar="S", help="Of a reply; 60.")
@grouped(SERVER, "--requests-per-minute", type=float, metavar="N", help="Most requests a minute.")
@grouped(
    SERVER,
    "--tokens-per-minute",
    type=float,
    metavar="N",
    help="Most tokens a minute: of prompts, estimated, and of replies at their longest.",
)
@grouped(SERVER, "--price-in", type=float, metavar="X", help="Of a million tokens of prompts.")
@grouped(SERVER, "--price-out", type=float, metavar="X", help="Of a million tokens of replies.")
@grouped(
    SERVER,
    "--max-cost",
    type=float,
    metavar="X",
    help="Stop before the replies in the run files cost more; needs both prices.",
)
@grouped(
    MORE,
    "--explainer-args",
    "arguments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Argument of a py:module:Class or of vLLM, or field of an endpoint's requests; may be "
    "repeated.",
)
@config_option(MORE)
@grouped(MORE, "--queries", metavar="ID,...", help="Only these queries (partial run).")
@option("--resume", title=MORE, metavar="WHEN", help="Continue a run file: auto, never or require.")
@overwrite_options(MORE)
@grouped(MORE, "--no-judge", is_flag=True, help="Do not have descriptions judged afterwards.")
@grouped(MORE, "--no-score", is_flag=True, help="Do not score the run files afterwards.")
def command(
    dry_run: bool,
    queries: str | None,
    arguments: tuple[str, ...],
    no_judge: bool,
    no_score: bool,
    overwrite: bool,
    yes: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Answer the frozen queries of a suite with a model.

    Descriptions are judged by the suite's own judge, and the run files are scored at the end.
    Running never opens the ground truth of its split; `judge` and `score` are also verbs of their
    own. Killed at any moment, the same command goes on where it was.

    The run file says how answers were come by, its access class: words (reads the query), or
    replays where a vector stands at the quoted token or replies are decoded by comparison, that of
    a baseline, or undeclared for own code (py:) until it is submitted.
    """
    from ..benchmark.backends.injection.spec import parse_injection
    from ..benchmark.evaluation.explainers import parse_arguments
    from ..benchmark.evaluation.run import RefusedTasksError, run_paths

    server = {name: value for name in SERVED if (value := options.pop(name)) is not None}
    vectors = [options.pop(name) for name in ("injections", "scalings", "slots")]
    options |= {
        "queries": queries and queries.split(","),
        "injection": parse_injection(*vectors),
        "explainer_args": parse_arguments(arguments),
        "judge": not no_judge,
        "endpoint": EndpointSpec(**server) if server else None,
    }
    if dry_run:
        with progress():
            plans = api.plan(**options)
        _emit_plans(plans, as_json)
        return
    if overwrite or options["resume"] == "overwrite":
        options["resume"] = "overwrite"
        confirm_overwrite(run_paths(RunSpec(**options)), yes=yes)
    try:
        with progress() as bar:
            runs = api.run(**options, progress=bar)
    except RefusedTasksError as error:
        _report(error.runs, options["suite"], score=not no_score, as_json=as_json)
        raise
    _report(runs, options["suite"], score=not no_score, as_json=as_json)


def _report(runs: Sequence[Run], suite: str, *, score: bool, as_json: bool) -> None:
    """Print where the run files are, if there are any, and, as a step of its own, their scores."""
    if not runs:
        return
    from ..benchmark.scoring.judged import NotJudgedError
    from ..benchmark.scoring.score import has_truth

    results = []
    for run in runs if score else ():
        if has_truth(run.path, suite=suite):
            try:
                results.append(api.score(run.path, suite=suite))
            except NotJudgedError as error:
                click.echo(f"not scored: {error}", err=True)
        else:
            click.echo(f"not scored: the ground truth of {run.path} is not here", err=True)
    warn_unread(results)
    if as_json:
        files = [{"path": str(run.path), "rows": len(run.rows), "asked": run.asked} for run in runs]
        emit_json({"runs": files, "results": results})
        return
    if results:
        click.echo(table.plain(results))
        emit_labels(results)
    for run in runs:
        there = "" if run.asked else ", complete already, nothing asked"
        price = (run.footer or {}).get("cost", {}).get("price")
        there += "" if price is None else f", price of all replies {price:.6g}"
        click.echo(f"{run.path}: {len(run.rows)} queries answered{there}")
        if held := sum(row.get("reason") == FILTERED for row in run.rows.values()):
            click.echo(f"{run.path}: replies held back by a content filter: {held}", err=True)


def _emit_plans(plans: Sequence[TaskPlan], as_json: bool) -> None:
    if as_json:
        emit_json({"plans": [dataclasses.asdict(plan) for plan in plans]})
        return
    rows = []
    for plan in plans:
        tokens, disk = f"about {plan.prompt_tokens:,}", f"{plan.disk_bytes / 1e6:.1f} MB"
        rows.append((plan.task, plan.queries, tokens, minutes(plan.seconds), disk, plan.path))
    emit_table(("task", "queries", "prompt tokens", "time", "disk", "file"), rows)
    if download := max((plan.download_bytes for plan in plans), default=0):
        room = max(plan.cache_bytes for plan in plans)
        click.echo(
            f"once before: a download of {download / 1e6:.0f} MB, {room / 1e6:.0f} MB of cache"
        )
