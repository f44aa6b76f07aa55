"""Run file and ground truth in, results out: pure, without a model, the same bytes every time.

Owns what a result holds. Raw text is parsed again; nothing a run file says about its own score is
believed. Every query the run is about is scored, unparsed or missing, and the last two are wrong in
every metric.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.intervals import N_RESAMPLES, bootstrap
from introspect_bench.benchmark.metrics import (
    METRIC_VERSION,
    NO_VERDICT,
    ScoreTable,
    evaluate,
    normalise_content,
)
from introspect_bench.benchmark.records import Query, Scored
from introspect_bench.benchmark.runfile import Run
from introspect_bench.benchmark.selection import (
    check_about,
    check_task,
    ids_sha256,
    select_queries,
)
from introspect_bench.benchmark.suite import Suite
from introspect_bench.benchmark.task import Task

SCHEMA = "introspect-bench/score/1"
"""Value of `schema` in a result."""
SEED = 0
"""Seed of the bootstrap: fixed, so that an interval is a property of the run file."""


def score_run(run: Run, task: Task, suite: Suite) -> dict[str, Any]:
    """Score a run: a JSON object with counts, metrics, intervals and what to compare them with.

    Args:
        run: a run file's contents, complete or not.
        task: the task it is about.
        suite: the suite it is about.

    Returns:
        `overall` (over the task's headline kinds, null if the run has none of them), `by_kind` and,
        where queries have layers, `by_layers` (headline kinds again). Each holds `n`, `n_groups`,
        `scored`, `unparsed`, `missing` and `metrics`: name to `{"value", "interval_95", "n",
        "n_groups"}`, shares from 0 to 1; an interval over one group is null.

    Raises:
        IntegrityError: the run is about another task, suite, version or wording, or answers unknown
            queries.
    """
    scored = grade(run, task, suite)
    headline = [s for s in scored if _is_headline(s.query, task)]
    footer = run.footer or {}
    split, partial = run.header["task"]["split"], run.header["partial"]
    return {
        "schema": SCHEMA,
        "metric_version": METRIC_VERSION,
        "suite": suite.name,
        "task": task.name,
        "version": task.version,
        "split": split,
        "target": suite.manifest["target"].get("name"),
        "frozen": suite.frozen,
        "data_sha256": suite.data_sha256,
        "prompt_sha256": task.prompt_sha256,
        "run_id": run.header.get("run_id"),
        "body_sha256": footer.get("body_sha256"),
        "explainer": _explainer(run.header["explainer"]),
        "complete": run.complete,
        "partial": partial,
        "headline": task.headline,
        "metrics": list(task.metrics),
        "counts": {"queries": len(scored), **_counts(scored)},
        "overall": _result(headline, task) if headline else None,
        "by_kind": _by(scored, lambda query: query.kind, task),
        "by_layers": _by([s for s in headline if "layers" in s.query.fields], _layers, task),
        "reference": None if partial else _reference(suite, split),
        "cost": footer.get("cost"),
        "claimed": footer.get("claimed", {}),
    }


def grade(run: Run, task: Task, suite: Suite) -> tuple[Scored, ...]:
    """Put every query the run is about beside its truth and its answer, in the suite's order.

    Raises:
        IntegrityError: the run is about another task, suite, version or wording, answers unknown
            queries, or holds judgements.
    """
    check_task(task, suite)
    about = run.header["task"]
    check_about(run.header, suite, run.path)
    try:
        everything = suite.queries(about["split"])
        queries = select_queries(everything, limit=about["limit"], ids=about["query_ids"])
    except UsageError as error:
        # What would be a slip on the command line is a contradiction in a file.
        raise IntegrityError(f"{run.path}: the header is about no queries here: {error}") from error
    if about["query_ids_sha256"] != ids_sha256(queries) or about["n"] != len(queries):
        raise IntegrityError(
            f"{run.path}: task.query_ids_sha256 and task.n are not those of the queries it names"
        )
    if run.header["partial"] is not (len(queries) < len(everything)):
        raise IntegrityError(f"{run.path}: field partial is {run.header['partial']}, it is not so")
    if unknown := sorted(run.rows.keys() - {query.id for query in queries}):
        raise IntegrityError(f"{run.path}: query id {unknown[0]} is not among the run's queries")
    if run.judgements:
        raise IntegrityError(f"{run.path}: holds judgements, but answers to {task.name} need none")
    truth = suite.truth(about["split"])
    graded = []
    for query in queries:
        raw = run.rows[query.id]["raw"] if query.id in run.rows else None
        answer = None if raw is None else task.parse(raw)
        graded.append(Scored(query=query, truth=truth[query.id], raw=raw, answer=answer))
    return tuple(graded)


def is_right(scored: Scored) -> tuple[bool, bool]:
    """Return whether verdict and content of an answer are right; both False without an answer."""
    if scored.answer is None:
        return False, False
    truth = scored.truth.answer
    content = normalise_content(scored.answer.content) == normalise_content(truth.content)
    return scored.answer.changed == truth.changed, content


def score_table(scored: Sequence[Scored]) -> ScoreTable:
    """Return scored queries as columns for the metrics.

    Raises:
        ValueError: there are none.
    """
    right = [is_right(s) for s in scored]
    verdicts = [NO_VERDICT if s.answer is None else int(s.answer.changed) for s in scored]
    groups = np.unique([s.query.group for s in scored], return_inverse=True)[1]
    return ScoreTable(
        exact=np.array([all(pair) for pair in right], dtype=np.bool_),
        content=np.array([content for _, content in right], dtype=np.bool_),
        true_changed=np.array([s.truth.answer.changed for s in scored], dtype=np.bool_),
        pred_changed=np.array(verdicts, dtype=np.int8),
        group=groups.astype(np.int64),
    )


def _result(scored: Sequence[Scored], task: Task) -> dict[str, Any]:
    table = score_table(scored)
    # A fresh generator each time: one part of a result never moves another's interval.
    rng = np.random.default_rng(SEED)
    intervals = bootstrap(table, task.metrics, rng=rng, n_resamples=N_RESAMPLES)
    metrics = {
        name: {
            "value": evaluate(name, table),
            "interval_95": None if intervals is None else list(intervals[name]),
            "n": table.n,
            "n_groups": table.n_groups,
        }
        for name in task.metrics
    }
    return {"n": table.n, "n_groups": table.n_groups, **_counts(scored), "metrics": metrics}


def _by(
    scored: Iterable[Scored], key: Callable[[Query], str], task: Task
) -> dict[str, dict[str, Any]]:
    """Score apart what `key` tells apart, in the order of the keys."""
    parts: dict[str, list[Scored]] = {}
    for one in scored:
        parts.setdefault(key(one.query), []).append(one)
    return {name: _result(parts[name], task) for name in sorted(parts)}


def _layers(query: Query) -> str:
    """Return a block of layers as text that sorts by its first layer."""
    first, last = query.fields["layers"]
    return f"{first:02d}-{last:02d}"


def _explainer(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a table needs to know about who answered."""
    return {
        "name": fields["name"],
        "kind": fields["kind"],
        "revision": fields.get("revision"),
        "shots": fields["shots"],
        "no_vector": fields["no_vector"],
    }


def _counts(scored: Iterable[Scored]) -> dict[str, int]:
    counts = {"scored": 0, "unparsed": 0, "missing": 0}
    for one in scored:
        counts[one.status] += 1
    return counts


def _is_headline(query: Query, task: Task) -> bool:
    return task.headline_kinds is None or query.kind in task.headline_kinds


def _reference(suite: Suite, split: str) -> Mapping[str, Any] | None:
    """Return what the text alone can reach on this split, if the suite's manifest says."""
    statistics = suite.manifest.get("statistics", {}).get(split, {})
    return {
        "input_only_ceiling": statistics.get("input_only_ceiling"),
        "prior_exact_match": statistics.get("prior_exact_match"),
    }
