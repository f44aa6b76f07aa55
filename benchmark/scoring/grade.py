"""Run file and ground truth in, results out; what a run says of its own score is not believed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ..errors import IntegrityError
from ..metrics.bootstrap import estimates
from ..metrics.confidence import confidence_result
from ..metrics.slices import distance_of, layers_of, margin_of
from ..metrics.verdicts import METRIC_VERSION, NO_VERDICT, ScoreTable, Table
from ..records import Answer, Described, Replied, Scored
from ..runs.new_header import decoding_of, n_train
from ..runs.replies import read_replies
from ..runs.run import Run
from ..suite.suite import Suite
from ..task import Task
from .correct import is_right, of_kind
from .judged import describe_replies, describe_result, description_table
from .scale import NoScaleError, scale_of

SCHEMA = "introspect-bench/score/1"
CALCULATOR = "baseline/calculator"  # Who carries out each query's intervention, as its runs name it
LONGEST = 300  # Characters of an unreadable reply that are shown
SEED = 0  # Seed of the bootstrap: fixed, so that an interval is a property of the run file


def score_run(run: Run, task: Task, suite: Suite) -> dict[str, Any]:
    """Score a run: a JSON object with counts, metrics, intervals and what to compare them with.

    `overall` is over the task's headline kinds, null if the run has none; `by_kind` is over all;
    `by_layers` and `by_margin` over headline kinds, where queries have these; `by_distance` tells
    features near to the training split's from others. Each holds `n`, `n_groups`, `scored`,
    `unparsed`, `missing` and `metrics`: name to `{"value", "interval_95", "n", "n_groups"}`, null
    where there is none. NotJudgedError: a description was not judged yet.
    """
    return score_graded(run, task, suite, grade_run(run, task, suite))


def score_graded(run: Run, task: Task, suite: Suite, scored: Sequence[Replied]) -> dict[str, Any]:
    """Return what `score_run` does, of a run that is graded already."""
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
        "unread": _unread(scored, task),
        "labels_reproduced": _reproduced(run, scored),
        "overall": _result(headline, task) if headline else None,
        "by_kind": _by(scored, lambda one: one.query.kind, task),
        "by_layers": _by(headline, lambda one: layers_of(one.query), task),
        "by_margin": _by(headline, margin_of, task),
        "by_distance": _by(scored, distance_of, task),
        "descriptions": describe_result(_described(scored), seed=SEED),
        "confidence": confidence_result(
            run.rows, {one.query.id: is_right(one) for one in headline if isinstance(one, Scored)}
        ),
        "reference": None if partial else _reference(suite, split, task.headline),
        "cost": footer.get("cost"),
        "claimed": footer.get("claimed", {}),
    }


def grade_run(run: Run, task: Task, suite: Suite) -> tuple[Replied, ...]:
    """Put every query the run is about beside its truth and its answer, in the suite's order."""
    return grade_descriptions(run, task, suite) if suite.describes else grade(run, task, suite)


def grade(run: Run, task: Task, suite: Suite) -> tuple[Scored, ...]:
    """Grade a run about interventions, see `grade_run`."""
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
    """Grade a run about features, with what judges made of its descriptions, see `grade_run`."""
    return describe_replies(run, read_replies(run, task, suite), suite)


def score_table(scored: Sequence[Scored]) -> ScoreTable:
    """Return scored queries, at least one, as columns for the metrics."""
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
    size = {"n": table.n, "n_groups": table.n_groups}
    found = estimates(table, task.metrics, seed=SEED)
    metrics = {name: estimate | size for name, estimate in found.items()}
    return {**size, **_counts(scored), "metrics": metrics}


def headline_queries(scored: Iterable[Replied], task: Task) -> list[Replied]:
    """Return the graded queries that the headline numbers are computed over."""
    kinds = task.headline_kinds
    return [one for one in scored if kinds is None or one.query.kind in kinds]


def make_table(scored: Sequence[Replied]) -> Table:
    """Return graded queries of one task, at least one, as columns for its metrics."""
    causal = [one for one in scored if isinstance(one, Scored)]
    return score_table(causal) if causal else description_table(_described(scored))


def _described(scored: Iterable[Replied]) -> list[Described]:
    return [one for one in scored if isinstance(one, Described)]


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


def _reference(suite: Suite, split: str, metric: str) -> Mapping[str, Any]:
    """What is reached without introspection on this split, if the suite's manifest says."""
    try:
        scale = asdict(scale_of(suite.manifest, split, metric))
    except NoScaleError:
        scale = None
    statistics = suite.manifest.get("statistics", {}).get(split, {})
    return {"input_only_ceiling": statistics.get("input_only_ceiling"), "scale": scale}


def _unread(replies: Sequence[Replied], task: Task) -> dict[str, Any] | None:
    """Return one reply that cannot be read and the form expected, if that is so of most of them."""
    answered = [one for one in replies if one.raw is not None]
    failed = [one for one in answered if one.answer is None]
    if 2 * len(failed) <= len(answered):
        return None
    # an empty reply shows nothing of the explainer's form
    one = next((one for one in failed if (one.raw or "").strip()), failed[0])
    return {
        "unparsed": len(failed),
        "answered": len(answered),
        "id": one.query.id,
        "reply": (one.raw or "")[:LONGEST],
        "expected": task.form,
    }


def _reproduced(run: Run, graded: Sequence[Replied]) -> dict[str, int] | None:
    """Count the labels that the calculator came to again; None for any other explainer's run."""
    if run.header["explainer"]["name"] != CALCULATOR:
        return None
    same = sum(isinstance(one, Scored) and all(is_right(one)) for one in graded)
    return {"n": same, "of": len(graded)}
