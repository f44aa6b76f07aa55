"""Entries set against their controls and others: what is compared, and by how much they differ.

A difference is on the same queries; its p swaps whole groups. Tests are kept in the user's cache,
by the answers they are about and the source that computes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, NamedTuple

from ...benchmark import files
from ...benchmark.cache import cache_dir
from ...benchmark.errors import IntegrityError
from ...benchmark.metrics.bootstrap import PartDifference, differences
from ...benchmark.metrics.paired import adjust, compare
from ...benchmark.metrics.verdicts import METRIC_VERSION
from ...benchmark.runs.header import decoding_of
from ...benchmark.scoring.compare import draws, fixed_verdict, recipe
from ...benchmark.suite.suite import Suite
from ...benchmark.task import Task
from ..report.report import Contrast
from ..submissions.checks import SPLIT
from .board import Estimate, Worth
from .rows import Collected, ScoredEntry, control_of
from .scored import FOLDER, ScoredRun, source_sha256

NOT_TRAINED, NO_VECTORS = "not trained", "no vectors"

Seen = tuple[float | None, tuple[float, float] | None, float | None]  # difference, interval, p


class Pair(NamedTuple):
    """Two entries to be compared, and what tells them apart."""

    first: ScoredEntry
    second: ScoredEntry
    why: str


def controls(entries: Sequence[ScoredEntry]) -> list[Pair]:
    """Explainers with their controls: those they name, and themselves with shuffled vectors."""
    pairs = []
    by_id = {one.entry.id: one for one in entries}
    for one in entries:
        named = by_id.get(one.entry.fields.vector_use or "")
        if named is not None and control_of(one, named) is None:
            pairs.append(Pair(one, named, NO_VECTORS))
        pairs += [
            Pair(one, other, "vectors shuffled")
            for other in entries
            if other.shuffled and not one.shuffled
            if other.entry.fields.org == one.entry.fields.org and _weights(one) == _weights(other)
        ]
    return pairs


def _weights(one: ScoredEntry) -> tuple[Any, ...]:
    """What tells explainers apart besides their vectors."""
    explainer = one.explainers[0]
    hashes = sorted(explainer.weights_sha256.items())
    if not hashes:
        return (one.entry.id,)
    return (explainer.no_vector, decoding_of(explainer.settings), hashes)


def contrasts(found: Collected, pairs: Sequence[Pair], *, use_cache: bool = True) -> list[Contrast]:
    """Compare pairs on each task; where they differ in vectors, all metrics, and parts as well."""
    rows: list[Contrast] = []
    for task, suite in found.tasks:
        for pair in pairs:
            first, second = (one.runs.get(task.name) for one in (pair.first, pair.second))
            if first is None or second is None or not _comparable(pair, task):
                continue
            beaten = pair.why == NOT_TRAINED
            for metric in (task.headline,) if beaten else task.metrics:
                if any(fixed_verdict(run.header, suite, metric) for run in (first, second)):
                    continue
                seen = _tested(first, second, (task, suite), metric, use_cache=use_cache)
                row = _contrast(pair, task, metric, seen)
                if row and not beaten and metric == task.headline:
                    row = replace(row, parts=parts_between(first, second, task, suite))
                rows += [row] if row else []
    return rows


def _comparable(pair: Pair, task: Task) -> bool:
    """Whether nothing else tells a pair apart than what it is set against each other for."""
    both = (pair.first, pair.second)
    if pair.why == NOT_TRAINED:
        return len({one.access.by_task[task.name] for one in both}) == 1
    # without vectors there is no intervention to replay: a control's class may be narrower
    ours, theirs = (recipe(one.runs[task.name].header, task, vectors=False) for one in both)
    return task.uses_vector and ours == theirs


def _tested(
    first: ScoredRun, second: ScoredRun, about: tuple[Task, Suite], metric: str, *, use_cache: bool
) -> Seen:
    task, suite = about
    columns = [getattr(run.table, one.name) for run in (first, second) for one in fields(run.table)]
    answers = [files.sha256_bytes(column.tobytes()) for column in columns]
    parts = [*answers, suite.name, task.name, task.version, metric, METRIC_VERSION, source_sha256()]
    key = files.sha256_bytes(files.canonical_json(parts).encode())
    place = cache_dir() / FOLDER / f"{key}.json"
    if use_cache and (data := files.read_derived(place, max_bytes=1 << 12)) is not None:
        value, interval, p = files.parse_object(data, str(place))["seen"]
        return value, interval and tuple(interval), p
    seen = compare(first.table, second.table, metric, rng=draws(suite, task, SPLIT))
    found = (seen.value, seen.interval_95, seen.p_permutation)
    if use_cache:
        files.write_derived(place, files.canonical_json({"seen": found}).encode())
    return found


def _contrast(pair: Pair, task: Task, metric: str, seen: Seen) -> Contrast | None:
    value, interval, p = seen
    if value is None or p is None:
        if metric == task.headline:
            raise IntegrityError(f"{pair.first.name} has no {metric} on {task.name}")
        return None
    return Contrast(
        task=task.name,
        metric=metric,
        first=pair.first.name,
        second=pair.second.name,
        why=pair.why,
        value=value,
        interval_95=interval,
        p=p,
    )


def parts_between(
    first: ScoredRun, second: ScoredRun, task: Task, suite: Suite
) -> dict[str, dict[str, PartDifference]]:
    """Compare two runs by the headline on each part of their queries."""
    queries = {query.id: query for query in suite.queries(SPLIT)}
    return differences(
        first.table,
        second.table,
        [queries[one] for one in first.ids],
        task.headline,
        lambda: draws(suite, task, SPLIT),
    )


def corrected(rows: Sequence[Contrast]) -> list[Contrast]:
    """Return contrasts with p values corrected over all of them (Holm)."""
    ps = adjust([row.p for row in rows], "holm")
    return [replace(row, p=p) for row, p in zip(rows, ps, strict=True)]


def worths(collected: Sequence[Collected], *, use_cache: bool = True) -> list[tuple[Worth, ...]]:
    """Return, suite by suite, what vectors are worth: p is corrected over all, as in the report."""
    found = [
        (place, pair, row)
        for place, one in enumerate(collected)
        for pair in controls(one.entries)
        for row in contrasts(one, [pair], use_cache=use_cache)
    ]
    worth: list[list[Worth]] = [[] for _ in collected]
    for (place, pair, _), row in zip(found, corrected([one[2] for one in found]), strict=True):
        if pair.why == NO_VECTORS:
            worth[place].append(
                Worth(
                    entry=pair.first.entry.id,
                    control=pair.second.entry.id,
                    task=row.task,
                    metric=row.metric,
                    difference=Estimate.of(row.value, row.interval_95),
                    p=row.p,
                )
            )
    return [tuple(own) for own in worth]
