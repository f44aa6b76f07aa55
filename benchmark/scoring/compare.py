"""Differences between runs, task by task and pair by pair. No model, no network."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from ..cache import Progress, silent
from ..errors import UsageError, check_choice
from ..metrics import paired
from ..metrics.bootstrap import estimates
from ..metrics.verdicts import METRIC_VERSION, Table
from ..runs.run import Named, run_files
from .grade import SEED, Graded, grade_file, who
from .matched import match, stream
from .score import run_name

SCHEMA = "introspect-bench/compare/1"
CLUSTERS = ("auto", "query")  # What is resampled as a whole: contrast groups, or queries
SIGNIFICANT = 0.05  # Corrected p from which a difference is no longer significant


def compare(
    paths: Named,
    *,
    suite: str | None = None,
    metric: str | None = None,
    cluster: str = "auto",
    correction: str = "holm",
    common: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Compare runs, at least two of each task, with one another: every pair of every task.

    `paths` are run files or folders of them. `metric` is each task's headline if None. `cluster`
    `auto` resamples and swaps contrast groups, `query` takes queries as independent. `correction`
    is over all pairs of all tasks. `common` compares partial and unfinished runs on the queries
    that all have answered. In a pair, `first` and `second` are places in `runs`, `difference` is
    first minus second, and `significant` goes by the corrected p of swapping whole groups.
    """
    check_choice("cluster", cluster, CLUSTERS)
    check_choice("correction", correction, paired.CORRECTIONS)
    graded = []
    files = run_files(paths)
    for number, path in enumerate(files):
        progress("reading runs", number, len(files))
        graded.append(grade_file(path, suite=suite))
    _refuse_twice(graded)
    by_task: dict[tuple[str, str], list[Graded]] = {}
    for one in graded:
        by_task.setdefault((one.suite.name, one.task.name), []).append(one)
    for (name, task), members in by_task.items():
        if len(members) < 2:
            raise UsageError(
                f"{members[0].path} is the only run of {task} on {name}; give two of every task"
            )
    matched = [(members, match(members, common=common)) for members in by_task.values()]
    tasks = [_compared(*one, metric, cluster, progress) for one in matched]
    _correct([pair for task in tasks for pair in task["pairs"]], correction)
    return {
        "schema": SCHEMA,
        "metric_version": METRIC_VERSION,
        "correction": correction,
        "cluster": cluster,
        "common": common,
        "tasks": tasks,
    }


def _refuse_twice(graded: Sequence[Graded]) -> None:
    seen: dict[str, Path] = {}
    for one in graded:
        name = run_name(one.path, one.task.name, one.run.header.run_id)
        if name in seen:
            raise UsageError(f"{seen[name]} and {one.path} hold the same run; give it once")
        seen[name] = one.path


def _compared(
    graded: Sequence[Graded],
    tables: Sequence[Any],
    metric: str | None,
    cluster: str,
    progress: Progress,
) -> dict[str, Any]:
    """Return one task's part of what `compare` returns, before correction."""
    first, task = graded[0], graded[0].task
    name = task.headline if metric is None else metric
    if name not in task.metrics:
        raise UsageError(
            f"{task.name} has no metric {name!r}; choose from {', '.join(task.metrics)}"
        )
    if cluster == "query":
        if name == "group_consistency":
            raise UsageError("group_consistency is about groups; compare it with --cluster auto")
        tables = [dataclasses.replace(t, group=np.arange(t.n)) for t in tables]
    places = list(combinations(range(len(tables)), 2))
    pairs = []
    for number, (a, b) in enumerate(places):
        progress(f"comparing runs of {task.name}", number, len(places))
        # a fresh generator each time: a difference is a property of its two runs
        difference = paired.compare(tables[a], tables[b], name, rng=stream(first))
        pairs.append({"first": a, "second": b, **_pair(difference)})
    return {
        "suite": first.suite.name,
        "task": task.name,
        "version": task.version,
        "split": first.split,
        "data_sha256": first.suite.data_sha256,
        "metric": name,
        "n": tables[0].n,
        "n_groups": tables[0].n_groups,
        "runs": [_run(g, t, name) for g, t in zip(graded, tables, strict=True)],
        "pairs": pairs,
    }


def _run(graded: Graded, table: Table, metric: str) -> dict[str, Any]:
    header = graded.run.header
    said = who(header, graded.task)
    return {
        "name": said.pop("name"),
        "kind": said.pop("kind"),
        "access": header.access,
        **{name: value for name, value in said.items() if name not in ("revision", "shots")},
        "run_id": header.run_id,
        "body_sha256": graded.run.body_sha256,
        # the seed of `score`, so that a whole run has the same interval in both
        **estimates(table, [metric], seed=SEED)[metric],
    }


def _pair(difference: paired.Difference) -> dict[str, Any]:
    mcnemar, ends = difference.mcnemar, difference.interval_95
    return {
        "difference": difference.value,
        "interval_95": None if ends is None else list(ends),
        "test": "permutation" if mcnemar is None else "mcnemar",
        "p": difference.p,
        "p_permutation": difference.p_permutation,
        "first_only": None if mcnemar is None else mcnemar.first_only,
        "second_only": None if mcnemar is None else mcnemar.second_only,
        "minimum_detectable": difference.minimum_detectable,
    }


def _correct(pairs: Sequence[dict[str, Any]], correction: str) -> None:
    """Add corrected p values to every pair that has some, over all pairs of all tasks."""
    for pair in pairs:
        pair |= {"p_corrected": None, "p_permutation_corrected": None, "significant": None}
    tested = [pair for pair in pairs if pair["p"] is not None]
    for key in ("p", "p_permutation"):
        adjusted = paired.adjust([pair[key] for pair in tested], correction)
        for pair, value in zip(tested, adjusted, strict=True):
            pair[f"{key}_corrected"] = value
    for pair in tested:
        pair["significant"] = pair["p_permutation_corrected"] < SIGNIFICANT
