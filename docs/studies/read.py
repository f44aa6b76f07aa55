"""Which recipe teaches an explainer to read a vector: trains, asks and scores cells of the study.

    introspect-bench data hold-out SUITE -n 1000 -t activation-patching -o HELD
    python docs/studies/read.py HELD -o OUT [--cell NAME ...] [--seed N ...] [--n-train 2000]

Every cell is trained with vectors, then every one without, and asked the held-out part of train;
neither validation nor test is opened. Killed at any moment, the same command goes on where
it was. OUT/results.jsonl gets a line for each; at the end a table of all lines is printed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import introspect_bench as ib
from introspect_bench.baselines.recipes import NO_VECTOR, STUDY, find_reference
from introspect_bench.benchmark.backends.injection.spec import injections_as_json
from introspect_bench.benchmark.files import (
    canonical_json,
    read_json,
    read_jsonl,
    write_jsonl_atomic,
)
from introspect_bench.benchmark.suite.select import find_suite

PATCHING = "activation-patching"
METRICS = (
    "balanced_exact_match",
    "exact_match_changed",
    "exact_match_unchanged",
    "content_match_changed",
    "has_changed_macro_f1",
)
"""Metrics of the table, the headline first."""
RESULTS = "results.jsonl"
"""File of the lines."""


def key_of(row: Mapping[str, Any]) -> str:
    """What makes two lines the same trial."""
    names = ("cell", "vectors", "seed", "n_train", "learning_rate", "data_sha256")
    return canonical_json({name: row[name] for name in names})


def trials(options: argparse.Namespace) -> list[dict[str, Any]]:
    """What is to be done: for each seed every cell with vectors, then every cell without."""
    sha256 = find_suite(str(options.suite), PATCHING).data_sha256
    return [
        {
            "cell": cell,
            "vectors": vectors,
            "seed": seed,
            "n_train": options.n_train,
            "learning_rate": rate or find_reference(cell).training["learning_rate"],
            "data_sha256": sha256,
        }
        for seed in options.seed
        for rate in options.learning_rate
        for vectors in (True, False)
        for cell in options.cell
    ]


def do(trial: Mapping[str, Any], suite: str, out: Path) -> dict[str, Any]:
    """Train, ask and score; what an earlier call did is found done."""
    name = trial["cell"] if trial["vectors"] else f"{trial['cell']}{NO_VECTOR}"
    rate = trial["learning_rate"]
    folder = out / f"n{trial['n_train']}-rate{rate:g}-seed{trial['seed']}"
    options: dict[str, Any] = {
        "suite": suite,
        "tasks": [PATCHING],
        "n_train": trial["n_train"],
        "seed": trial["seed"],
        "settings": {"learning_rate": rate},
    }
    begun = time.monotonic()
    ib.train_recipes([name], folder, **options)
    trained = time.monotonic()
    (run,) = ib.train_recipes([name], folder, split="validation", **options)[name]
    asked = time.monotonic()
    metrics = ib.score(run.path, suite=suite)["overall"]["metrics"]
    explainer = folder / "explainers" / name
    rows = [row for _, row in read_jsonl(explainer / "training.jsonl")]
    record = read_json(explainer / "explainer.json")
    return {
        **trial,
        "recipe": {
            **record["training"]["settings"],
            "injection": injections_as_json(find_reference(name).injection),
        },
        "lessons": record["training"]["lessons"],
        "metrics": {metric: metrics[metric]["value"] for metric in METRICS},
        "validation_loss": record["validation_loss"],
        "losses": last_losses(rows),
        "seconds": {"train": round(trained - begun, 1), "run": round(asked - trained, 1)},
    }


def last_losses(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The latest training loss of each kind of lesson."""
    found: dict[str, float] = {}
    for row in rows:
        found |= row.get("losses", {})
    return found


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Means over seeds as Markdown, in percent; worth is with vectors minus without."""
    names = ("cell", "n", "rate", "seeds", "with", "without", "worth", "changed", "unchanged")
    names += ("content", "worth in content", "verdict F1", "loss", "minutes")
    lines = [f"| {' | '.join(names)} |", f"|---|{'---:|' * (len(names) - 1)}"]
    cells: dict[tuple[Any, ...], dict[bool, list[Mapping[str, Any]]]] = {}
    for row in rows:
        cell = (row["cell"], row["n_train"], row["learning_rate"], row["data_sha256"])
        cells.setdefault(cell, {}).setdefault(row["vectors"], []).append(row)
    for (cell, n_train, rate, _), parts in cells.items():
        seen, blind = parts.get(True, []), parts.get(False, [])
        shared = {row["seed"] for row in seen} & {row["seed"] for row in blind}
        both = [[row for row in part if row["seed"] in shared] for part in (seen, blind)]
        worth = [_difference(both, metric) for metric in (METRICS[0], METRICS[3])]
        values = [_percent(seen, METRICS[0]), _percent(blind, METRICS[0]), worth[0]]
        values += [_percent(seen, metric) for metric in METRICS[1:4]]
        values += [worth[1], _percent(seen, METRICS[4])]
        losses = [row["validation_loss"] for row in seen]
        values.append(f"{mean(losses):.3f}" if losses else "")
        minutes = [sum(row["seconds"].values()) / 60 for row in seen]
        values.append(f"{mean(minutes):.0f}" if minutes else "")
        start = [str(cell), str(n_train), f"{rate:g}", f"{len(seen)}/{len(blind)}"]
        lines.append(f"| {' | '.join([*start, *values])} |")
    return "\n".join(lines) + "\n"


def _percent(rows: Sequence[Mapping[str, Any]], metric: str) -> str:
    """Mean of a metric; empty where a row has none, which is no zero."""
    values = [row["metrics"][metric] for row in rows]
    if not values or None in values:
        return ""
    return f"{100 * mean(values):.1f}"


def _difference(both: Sequence[Sequence[Mapping[str, Any]]], metric: str) -> str:
    seen, blind = ([row["metrics"][metric] for row in part] for part in both)
    if not seen or None in seen + blind:
        return ""
    return f"{100 * (mean(seen) - mean(blind)):+.1f}"


def main(words: Sequence[str] | None = None) -> None:
    """Do what is not done yet, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("suite", type=Path, help="folder that `data hold-out` made")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--cell", action="append", help="recipe; default: all of the study")
    parser.add_argument("--seed", type=int, action="append", help="default: 0")
    parser.add_argument("--n-train", type=int, default=2000, help="patching queries")
    parser.add_argument(
        "--learning-rate", type=float, action="append", help="default: the recipe's"
    )
    options = parser.parse_args(words)
    options.cell = options.cell or [spec.name for spec in STUDY]
    options.seed, options.learning_rate = options.seed or [0], options.learning_rate or [None]
    path = options.output / RESULTS
    done = [row for _, row in read_jsonl(path)] if path.is_file() else []
    known = {key_of(row) for row in done}
    for trial in trials(options):
        if key_of(trial) in known:
            continue
        print("doing", canonical_json(trial), file=sys.stderr, flush=True)  # noqa: T201
        done.append(do(trial, str(options.suite), options.output))
        write_jsonl_atomic(path, done)
    sys.stdout.write(table(done))


if __name__ == "__main__":
    main()
