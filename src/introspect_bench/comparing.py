"""Run files to tables of the same queries, and the differences between them. No model, no network.

Owns what may be compared with what: runs of one task, suite, version, split and data, about the
same queries. The statistics are `benchmark.paired`'s. `compare` and the page both start here.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from introspect_bench.benchmark import paired
from introspect_bench.benchmark.errors import IncompleteRunError, UsageError
from introspect_bench.benchmark.intervals import N_RESAMPLES, bootstrap
from introspect_bench.benchmark.metrics import METRIC_VERSION, FloatArray, Table, evaluate
from introspect_bench.benchmark.records import Replied
from introspect_bench.benchmark.runfile import Run, read_run
from introspect_bench.benchmark.scoring import (
    SEED,
    grade_run,
    headline_queries,
    make_table,
    score_graded,
)
from introspect_bench.benchmark.suite import Suite
from introspect_bench.benchmark.task import Task
from introspect_bench.scores import about

SCHEMA = "introspect-bench/compare/1"
"""Value of `schema` in what `compare` returns."""
CLUSTERS = ("auto", "query")
"""What is resampled and swapped as a whole: contrast groups, or each query for itself."""
SIGNIFICANT = 0.05
"""Corrected p from which a difference is no longer significant."""

OnRead = Callable[[str, int, int], None]
"""Told what is done, how many are done, and how many there are."""


def _silent(what: str, done: int, total: int) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """A run file, read and graded once."""

    path: Path
    """The run file."""
    run: Run
    """What it holds."""
    task: Task
    """The task it is about."""
    suite: Suite
    """The suite it is about."""
    scored: tuple[Replied, ...]
    """Every query it is about, beside truth and answer, in the suite's order."""

    @property
    def split(self) -> str:
        """Name of the split it is about."""
        return str(self.run.header["task"]["split"])

    def result(self) -> dict[str, Any]:
        """Return what `score` does."""
        return score_graded(self.run, self.task, self.suite, self.scored)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Runs about the same queries of one task."""

    graded: tuple[Graded, ...]
    """The runs, at least one."""
    ids: tuple[str, ...]
    """Queries of the headline kinds that all of them are about, in the suite's order."""
    tables: tuple[Table, ...]
    """Their answers to these queries, one table a run."""

    @property
    def task(self) -> Task:
        """The task they are about."""
        return self.graded[0].task

    def resampled(self, metric: str, n_resamples: int = N_RESAMPLES) -> FloatArray:
        """Return a metric of every run on the same resamples, (n_runs, n_resamples).

        Draws depend on suite and task, so that tasks with as many groups do not move together.
        """
        values = paired.resample(
            self.tables, [metric], rng=stream(self.graded[0]), n_resamples=n_resamples
        )
        return values[metric]


def stream(graded: Graded) -> np.random.Generator:
    """Return the generator of everything that is drawn for runs of one suite and task."""
    name = f"{graded.suite.name}/{graded.task.name}/{graded.task.version}/{graded.split}"
    digest = hashlib.sha256(name.encode()).digest()
    return np.random.default_rng([SEED, int.from_bytes(digest[:8], "big")])


def grade_file(path: Path | str, *, suite: str | None = None) -> Graded:
    """Read and grade a run file.

    Args:
        path: the run file.
        suite: folder of suites, for a suite that is not in the package.

    Raises:
        UsageError: the file can't be opened, its suite or task is unknown, or its descriptions were
            not judged.
        IntegrityError: the run is corrupt, or about another version of the suite.
    """
    run = read_run(Path(path))
    task, found = about(run, suite)
    return Graded(
        path=Path(path), run=run, task=task, suite=found, scored=grade_run(run, task, found)
    )


def match(graded: Sequence[Graded], *, common: bool = False) -> Matched:
    """Put runs of one task on the same queries.

    Runs are compared on the whole of what they are about, and only if that is the same. With
    `common`, on the queries that all of them have a row for, which somebody chose: good for
    looking, not for claims.

    Args:
        graded: runs, at least one.
        common: take the queries that all have.

    Raises:
        UsageError: they are not about the same queries, or have none in common.
        IncompleteRunError: one lacks rows; never with `common`.
    """
    first = graded[0]
    for other in graded[1:]:
        for what, ours, theirs in _differing(first, other):
            raise UsageError(
                f"{first.path} and {other.path} are about different queries: {what} is {ours!r} "
                f"and {theirs!r}; compare runs of one task, suite, version and split"
            )
    answered = [
        {
            one.query.id
            for one in headline_queries(g.scored, g.task)
            if not common or one.raw is not None
        }
        for g in graded
    ]
    ids = set.intersection(*answered)
    for g, own in zip(graded, answered, strict=True):
        if not common and own != answered[0]:
            raise UsageError(
                f"{first.path} is about {len(answered[0])} queries and {g.path} about {len(own)}, "
                "which are not the same ones; compare whole runs, or add --common"
            )
        if not common and not g.run.complete:
            raise IncompleteRunError(
                f"{g.path}: {sum(one.raw is None for one in g.scored)} queries have no row; run "
                "the same command again to complete it, or add --common"
            )
    kept = [[one for one in g.scored if one.query.id in ids] for g in graded]
    if not ids:
        raise UsageError(f"{first.path} and the other runs have no query in common")
    return Matched(
        graded=tuple(graded),
        ids=tuple(one.query.id for one in kept[0]),
        tables=tuple(make_table(scored) for scored in kept),
    )


def _differing(first: Graded, other: Graded) -> list[tuple[str, object, object]]:
    """Return what keeps two runs from being about the same queries: name and both values."""
    pairs = [
        ("the task", first.task.name, other.task.name),
        ("the suite", first.suite.name, other.suite.name),
        ("the version", first.suite.version, other.suite.version),
        ("the split", first.split, other.split),
        ("data_sha256", first.suite.data_sha256, other.suite.data_sha256),
    ]
    return [pair for pair in pairs if pair[1] != pair[2]]


def compare(
    paths: Sequence[Path | str],
    *,
    suite: str | None = None,
    metric: str | None = None,
    cluster: str = "auto",
    correction: str = "holm",
    common: bool = False,
    on_read: OnRead = _silent,
) -> dict[str, Any]:
    """Compare runs with one another, task by task, every pair on the same queries.

    Args:
        paths: run files, at least two of each task.
        suite: folder of suites, for a suite that is not in the package.
        metric: what to compare; each task's headline if None.
        cluster: `auto` resamples and swaps contrast groups, `query` takes queries as independent.
        correction: `holm` or `bh`, over all pairs of all tasks.
        common: compare partial and unfinished runs on the queries that all have answered.
        on_read: told what is read or compared.

    Returns:
        A JSON object: `tasks`, each with `task`, `metric`, `n`, `n_groups`, `runs` (`name`,
        `value`, `interval_95`) and `pairs`. A pair has `first` and `second` (places in `runs`),
        `difference` (first less second), `interval_95`, `test` (`mcnemar` or `permutation`), `p`,
        `p_corrected`, the same with `_permutation` for swapping whole groups, `significant` (by
        the latter), `first_only`, `second_only` and `minimum_detectable`.

    Raises:
        UsageError: a task has one run only, two files hold the same run, a metric that a task does
            not have, or runs about different queries.
        IncompleteRunError: a run lacks rows; never with `common`.
        IntegrityError: a run is corrupt.
    """
    if cluster not in CLUSTERS:
        raise UsageError(f"unknown cluster {cluster!r}; choose from {', '.join(CLUSTERS)}")
    if correction not in paired.CORRECTIONS:
        raise UsageError(
            f"unknown correction {correction!r}; choose from {', '.join(paired.CORRECTIONS)}"
        )
    graded = []
    for number, path in enumerate(paths):
        on_read("reading runs", number, len(paths))
        graded.append(grade_file(path, suite=suite))
    _refuse_twice(graded)
    by_task: dict[str, list[Graded]] = {}
    for one in graded:
        by_task.setdefault(one.task.name, []).append(one)
    for name, members in by_task.items():
        if len(members) < 2:
            raise UsageError(
                f"{members[0].path} is the only run of {name}; give two runs of every task"
            )
    matched = [match(members, common=common) for members in by_task.values()]
    tasks = [_compared(one, metric, cluster, on_read) for one in matched]
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
        name = str(one.run.header.get("run_id") or one.path.resolve())
        if name in seen:
            raise UsageError(f"{seen[name]} and {one.path} hold the same run; give it once")
        seen[name] = one.path


def _compared(matched: Matched, metric: str | None, cluster: str, told: OnRead) -> dict[str, Any]:
    """Return one task's part of what `compare` returns, before correction."""
    task, first = matched.task, matched.graded[0]
    name = task.headline if metric is None else metric
    if name not in task.metrics:
        raise UsageError(
            f"{task.name} has no metric {name!r}; choose from {', '.join(task.metrics)}"
        )
    tables: tuple[Any, ...] = matched.tables
    if cluster == "query":
        if name == "group_consistency":
            raise UsageError("group_consistency is about groups; compare it with --cluster auto")
        tables = tuple(dataclasses.replace(t, group=np.arange(t.n)) for t in tables)
    found = list(combinations(range(len(tables)), 2))
    pairs = []
    for number, (a, b) in enumerate(found):
        told(f"comparing runs of {task.name}", number, len(found))
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
        "runs": [_run(g, t, name) for g, t in zip(matched.graded, tables, strict=True)],
        "pairs": pairs,
    }


def _run(graded: Graded, table: Table, metric: str) -> dict[str, Any]:
    explainer = graded.run.header["explainer"]
    value = evaluate(metric, table)
    # the generator of `score`, so that a whole run has the same interval in both
    interval = bootstrap(table, [metric], rng=np.random.default_rng(SEED))
    ends = None if interval is None else interval[metric]
    return {
        "name": explainer["name"],
        "kind": explainer["kind"],
        "no_vector": explainer["no_vector"],
        "run_id": graded.run.header.get("run_id"),
        "body_sha256": (graded.run.footer or {}).get("body_sha256"),
        "value": value if np.isfinite(value) else None,
        "interval_95": list(ends) if ends and np.isfinite(ends).all() else None,
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
