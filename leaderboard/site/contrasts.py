"""Entries set against their controls and others: what is compared, and by how much they differ.

A difference is on the same queries; its p swaps whole groups. Tests are kept in the user's cache,
by the answers they are about and the source that computes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

from ...benchmark import files
from ...benchmark.errors import IntegrityError
from ...benchmark.metrics.bootstrap import PartDifference, differences
from ...benchmark.metrics.paired import adjust, compare
from ...benchmark.runs.header import decoding_of
from ...benchmark.scoring.compare import draws, fixed_verdict, recipe
from ...benchmark.suite.suite import Suite
from ...benchmark.task import Task
from ..submissions.checks import SPLIT
from .board import Estimate, Worth
from .rows import Collected, ScoredEntry, control_of, is_target
from .scored import ScoredRun, cached

NOT_TRAINED, NO_VECTORS = "not trained", "no vectors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """One explainer minus another on the same queries of one task."""

    task: str
    metric: str
    first: str  # who is looked at
    second: str  # who it is set against
    why: str  # what is different about the second, in a few words
    value: float  # the first's score minus the second's
    interval_95: tuple[float, float] | None  # bootstrap over groups
    p: float  # two-sided, of swapping whole groups, after Holm's correction over the section
    # The same on parts of the queries: by what tells them apart, then by part.
    parts: Mapping[str, Mapping[str, PartDifference]] = field(default_factory=dict)


class Pair(NamedTuple):
    """Two entries to be compared, and what tells them apart."""

    first: ScoredEntry
    second: ScoredEntry
    why: str


def controls(found: Collected) -> list[Pair]:
    """Explainers with their controls: those they name, and themselves with shuffled vectors."""
    pairs = []
    for one in found.entries:
        named = found.named(one)
        if named is not None and control_of(one, named) is None:
            pairs.append(Pair(one, named, NO_VECTORS))
        pairs += [
            Pair(one, other, "vectors shuffled")
            for other in found.entries
            if other.shuffled and not one.shuffled
            if other.entry.fields.org == one.entry.fields.org and _weights(one) == _weights(other)
        ]
    return pairs


def beaten_by_selves(found: Collected) -> list[Pair]:
    """Self-explainers with what they have to beat: contestants not trained, and no controls."""
    known = [one for one in found.entries if one.own_vectors and one.ranked]
    trained = [one for one in known if one.entry.fields.kind == "trained"]
    selves = [one for one in trained if not twin_of(one) and is_target(one, found)]
    others = [one for one in known if one.entry.fields.kind in ("baseline", "untrained")]
    return [Pair(one, other, NOT_TRAINED) for one in selves for other in others]


def twin_of(one: ScoredEntry) -> str | None:
    """Return the kind of the target's twin that an explainer was made from, if it was."""
    for explainer in one.explainers:
        if twin := explainer.settings.get("twin"):
            return str(twin.get("kind")) if isinstance(twin, dict) else "unknown"
    return None


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
                row = contrast(pair, task, suite, metric, use_cache=use_cache)
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


def contrast(
    pair: Pair, task: Task, suite: Suite, metric: str, *, use_cache: bool
) -> Contrast | None:
    """Compare a pair by one metric, its p not corrected; None where one of the two has none."""
    first, second = (one.runs[task.name] for one in pair[:2])
    columns = [getattr(run.table, one.name) for run in (first, second) for one in fields(run.table)]
    answers = [files.sha256_bytes(column.tobytes()) for column in columns]

    def tested() -> dict[str, Any]:
        seen = compare(first.table, second.table, metric, rng=draws(suite, task, SPLIT))
        return {"seen": [seen.value, seen.interval_95, seen.p_permutation]}

    parts = [*answers, suite.name, task.name, task.version, metric]
    value, interval, p = cached(parts, tested, use_cache=use_cache)["seen"]
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
        interval_95=interval and tuple(interval),
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
        for pair in controls(one)
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
