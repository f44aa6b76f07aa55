"""Run file and ground truth in, results out: pure, without a model, the same bytes every time.

Owns what a result holds. Raw text is parsed again; nothing a run file says about its own score is
believed. Every query the run is about is scored, unparsed or missing, and the last two are wrong in
every metric.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ..errors import IntegrityError
from ..metrics.bootstrap import N_RESAMPLES, bootstrap
from ..metrics.confidence import run_confidence
from ..metrics.slices import distance_of, layers_of, margin_of
from ..metrics.verdicts import METRIC_VERSION, NO_VERDICT, ScoreTable, Table, evaluate
from ..records import Answer, Described, Query, Replied, Scored
from ..runs.new_header import decoding_of, n_train
from ..runs.replies import read_replies
from ..runs.run import Run
from ..suite.suite import Suite
from ..task import Task
from .correct import is_right, of_kind
from .judged import describe_replies, describe_result, description_table
from .notes import reproduced, unread
from .scale import NoScaleError, scale_of

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
        `overall` (over the task's headline kinds, null if the run has none of them), `by_kind`,
        where queries have layers `by_layers` (headline kinds again), where they have a margin
        `by_margin` (the same), and for descriptions `by_distance`: features near to, or far from,
        those of the training split. Each holds `n`, `n_groups`, `scored`, `unparsed`, `missing` and
        `metrics`: name to `{"value", "interval_95", "n", "n_groups"}`; an interval over one group
        is null, as is a value that does not exist. `descriptions` is null or what
        `description_result` says, `unread` and `labels_reproduced` likewise of `notes`,
        `confidence` what `run_confidence` says of the headline kinds.

    Raises:
        UsageError: a description was not judged yet.
        IntegrityError: the run is about another task, suite, version or wording, or answers unknown
            queries.
    """
    return score_graded(run, task, suite, grade_run(run, task, suite))


def score_graded(run: Run, task: Task, suite: Suite, scored: Sequence[Replied]) -> dict[str, Any]:
    """Return what `score_run` does, of a run that is graded already.

    Args:
        run: the run.
        task: the task it is about.
        suite: the suite it is about.
        scored: what `grade_run` returned.
    """
    headline = headline_queries(scored, task)
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
        "access": run.header["access"],
        "explainer": _explainer(run.header["explainer"], task.name),
        "complete": run.complete,
        "partial": partial,
        "headline": task.headline,
        "metrics": list(task.metrics),
        "counts": {"queries": len(scored), **_counts(scored)},
        "unread": unread(scored, task),
        "labels_reproduced": reproduced(run, scored, is_right),
        "overall": _result(headline, task) if headline else None,
        "by_kind": _by(scored, lambda one: one.query.kind, task),
        "by_layers": _by(headline, lambda one: layers_of(one.query), task),
        "by_margin": _by(headline, margin_of, task),
        "by_distance": _by(scored, distance_of, task),
        "descriptions": describe_result(_described(scored), seed=SEED),
        "confidence": run_confidence(run.rows, headline, is_right),
        "reference": None if partial else _reference(suite, split, task.headline),
        "cost": footer.get("cost"),
        "claimed": footer.get("claimed", {}),
    }


def grade_run(run: Run, task: Task, suite: Suite) -> tuple[Replied, ...]:
    """Grade a run of either kind of task, by `grade` or `grade_descriptions`.

    Raises:
        UsageError: as `grade_descriptions`.
        IntegrityError: as both.
    """
    return grade_descriptions(run, task, suite) if suite.describes else grade(run, task, suite)


def grade(run: Run, task: Task, suite: Suite) -> tuple[Scored, ...]:
    """Put every query the run is about beside its truth and its answer, in the suite's order.

    Raises:
        IntegrityError: the run is about another task, suite, version or wording, answers unknown
            queries, or holds judgements.
    """
    replies = read_replies(run, task, suite)
    if run.judgements:
        raise IntegrityError(f"{run.path}: holds judgements, but answers to {task.name} need none")
    truth = suite.truth(run.header["task"]["split"])
    return tuple(
        Scored(
            query=reply.query,
            raw=reply.raw,
            answer=of_kind(reply, truth[reply.query.id]),
            truth=truth[reply.query.id],
        )
        for reply in replies
    )


def grade_descriptions(run: Run, task: Task, suite: Suite) -> tuple[Described, ...]:
    """Put every query the run is about beside its feature and what its description predicts.

    Raises:
        UsageError: a description was not judged yet.
        IntegrityError: as `grade`, or a judgement does not fit its description.
    """
    return describe_replies(run, read_replies(run, task, suite), suite)


def score_table(scored: Sequence[Scored]) -> ScoreTable:
    """Return scored queries as columns for the metrics.

    Raises:
        ValueError: there are none.
    """
    right = [is_right(s) for s in scored]
    verdicts = [
        int(s.answer.changed) if isinstance(s.answer, Answer) else NO_VERDICT for s in scored
    ]
    groups = np.unique([s.query.group for s in scored], return_inverse=True)[1]
    return ScoreTable(
        exact=np.array([all(pair) for pair in right], dtype=np.bool_),
        content=np.array([content for _, content in right], dtype=np.bool_),
        true_changed=np.array([s.truth.changed for s in scored], dtype=np.bool_),
        pred_changed=np.array(verdicts, dtype=np.int8),
        kind=np.array([s.query.kind for s in scored], dtype=np.str_),
        group=groups.astype(np.int64),
    )


def _result(scored: Sequence[Replied], task: Task) -> dict[str, Any]:
    table = make_table(scored)
    # A fresh generator each time: one part of a result never moves another's interval.
    rng = np.random.default_rng(SEED)
    intervals = bootstrap(table, task.metrics, rng=rng, n_resamples=N_RESAMPLES)
    metrics = {
        name: {
            "value": _or_null(evaluate(name, table)),
            "interval_95": _interval(intervals, name),
            "n": table.n,
            "n_groups": table.n_groups,
        }
        for name in task.metrics
    }
    return {"n": table.n, "n_groups": table.n_groups, **_counts(scored), "metrics": metrics}


def headline_queries(scored: Iterable[Replied], task: Task) -> list[Replied]:
    """Return the graded queries that the headline numbers are computed over."""
    return [s for s in scored if _is_headline(s.query, task)]


def make_table(scored: Sequence[Replied]) -> Table:
    """Return graded queries of one task as columns for its metrics.

    Raises:
        ValueError: there are none.
    """
    causal = [one for one in scored if isinstance(one, Scored)]
    return score_table(causal) if causal else description_table(_described(scored))


def _described(scored: Iterable[Replied]) -> list[Described]:
    return [one for one in scored if isinstance(one, Described)]


def _interval(
    intervals: Mapping[str, tuple[float, float]] | None, name: str
) -> list[float | None] | None:
    if intervals is None or not all(map(math.isfinite, intervals[name])):
        return None
    return list(intervals[name])


def _or_null(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _by(
    scored: Iterable[Replied], key: Callable[[Replied], str], task: Task
) -> dict[str, dict[str, Any]]:
    """Score apart what `key` tells apart, in the order of the keys; without a key, nowhere."""
    parts: dict[str, list[Replied]] = {}
    for one in scored:
        parts.setdefault(key(one), []).append(one)
    return {name: _result(parts[name], task) for name in sorted(parts) if name}


def _explainer(fields: Mapping[str, Any], task: str) -> dict[str, Any]:
    """Return what a table needs to know about who answered."""
    return {
        "name": fields["name"],
        "kind": fields["kind"],
        "revision": fields.get("revision"),
        "shots": fields["shots"],
        "no_vector": fields["no_vector"],
        "shuffled_vectors": fields.get("shuffled_vectors", False),
        **decoding_of(fields),
        "n_train": n_train(fields, task),
    }


def _counts(scored: Iterable[Replied]) -> dict[str, int]:
    counts = {"scored": 0, "unparsed": 0, "missing": 0}
    for one in scored:
        counts[one.status] += 1
    return counts


def _is_headline(query: Query, task: Task) -> bool:
    return task.headline_kinds is None or query.kind in task.headline_kinds


def _reference(suite: Suite, split: str, metric: str) -> Mapping[str, Any]:
    """Return what is reached without introspection on this split, if the suite's manifest says."""
    try:
        scale = asdict(scale_of(suite.manifest, split, metric))
    except NoScaleError:
        scale = None
    statistics = suite.manifest.get("statistics", {}).get(split, {})
    return {
        "input_only_ceiling": statistics.get("input_only_ceiling"),
        "scale": scale,
    }
