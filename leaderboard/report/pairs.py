"""Submissions to the page of results: which entries are set against which, how they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ...benchmark.cache import Progress, silent
from ...benchmark.errors import IntegrityError
from ...benchmark.files import write_bytes_atomic
from ...benchmark.metrics.bootstrap import PartDifference, differences
from ...benchmark.metrics.paired import adjust, compare
from ...benchmark.runs.header import decoding_of
from ...benchmark.scoring.matched import draws, fixed_verdict, recipe
from ...benchmark.suite.suite import Suite
from ...benchmark.task import Task
from ..site.build import collect
from ..site.matrix import Against, against_self, contestants_of
from ..site.rows import Collected, ScoredEntry, control_of, is_target
from ..site.scored import ScoredRun
from ..submissions.checks import SPLIT
from .report import Contrast, report
from .studies import cells_of, trials_of

NOT_TRAINED = "not trained"


class _Pair(NamedTuple):
    first: ScoredEntry
    second: ScoredEntry
    why: str


def board_report(
    submissions: Path | str = "submissions",
    output: Path | str | None = None,
    *,
    study: Path | str | None = None,
    rates: Path | str | None = None,
    suite: str | None = None,
    use_cache: bool = True,
    progress: Progress = silent,
) -> str:
    """Write what submissions show as a Markdown page; the same submissions give the same bytes.

    `study` holds run files of explainers that differ in how vectors enter, of any split; `rates`
    records of trainings that differ in their learning rate.
    """
    collected = collect(Path(submissions), suite=suite, use_cache=use_cache, progress=progress)
    use, beaten, results, trained = [], [], [], []
    for one in collected:
        use += _contrasts(one, _controls(one.entries))
        beaten += _contrasts(one, _beaten(one))
        for entry in one.entries:
            if entry.ledger.withdrawn:
                continue
            own = [_classed(run.result, task, entry) for task, run in entry.runs.items()]
            results += own
            trained += own if entry.entry.fields.kind == "trained" else []
    page = report(
        results,
        _corrected(use),
        [_to_self(one) for one in against_self(contestants_of(collected))],
        _corrected(beaten),
        trained=trained,
        study=cells_of(study, suite),
        rates=trials_of(rates),
    )
    if output is not None:
        write_bytes_atomic(Path(output), page.encode())
    return page


def _controls(entries: Sequence[ScoredEntry]) -> list[_Pair]:
    """Explainers with their controls: those they name, and themselves with shuffled vectors."""
    pairs = []
    by_id = {one.entry.id: one for one in entries}
    for one in entries:
        named = by_id.get(one.entry.fields.vector_use or "")
        if named is not None and control_of(one, named) is None:
            pairs.append(_Pair(one, named, "no vectors"))
        pairs += [
            _Pair(one, other, "vectors shuffled")
            for other in entries
            if other.shuffled and not one.shuffled
            if other.entry.fields.org == one.entry.fields.org and _weights(one) == _weights(other)
        ]
    return pairs


def _beaten(found: Collected) -> list[_Pair]:
    """Self-explainers with what they have to beat: contestants not trained, and no controls."""
    known = [one for one in found.entries if one.own_vectors and one.ranked]
    selves = [
        one
        for one in known
        if one.entry.fields.kind == "trained" and not _twin(one)
        if is_target(one, found)
    ]
    others = [one for one in known if one.entry.fields.kind in ("baseline", "untrained")]
    return [_Pair(one, other, NOT_TRAINED) for one in selves for other in others]


def _classed(result: Mapping[str, Any], task: str, entry: ScoredEntry) -> Mapping[str, Any]:
    access = entry.access.by_task[task]
    return {**result, "access": f"{access}, not ranked" if entry.access.unranked else access}


def _to_self(found: Against) -> Contrast:
    """The self-explainer minus the other: the page's difference, the other way round."""
    own, other, away = found.own, found.other, found.value
    interval = None if away.low is None or away.high is None else (-away.high, -away.low)
    twin = _twin(other.found)
    return Contrast(
        task=own.task.name,
        metric=own.task.headline,
        first=own.found.name,
        second=other.found.name,
        why=f"{twin} twin" if twin else "another model",
        value=-away.value,
        interval_95=interval,
        p=found.p,
        parts=_parts(own.run, other.run, own.task, own.suite),
    )


def _twin(one: ScoredEntry) -> str | None:
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


def _contrasts(found: Collected, pairs: Sequence[_Pair]) -> list[Contrast]:
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
                row = _contrast(pair, first, second, task, metric, draws(suite, task, SPLIT))
                if row and not beaten and metric == task.headline:
                    row = replace(row, parts=_parts(first, second, task, suite))
                rows += [row] if row else []
    return rows


def _comparable(pair: _Pair, task: Task) -> bool:
    """Whether nothing else tells a pair apart than what it is set against each other for."""
    both = (pair.first, pair.second)
    if pair.why == NOT_TRAINED:
        return len({one.access.by_task[task.name] for one in both}) == 1
    # without vectors there is no intervention to replay: a control's class may be narrower
    ours, theirs = (recipe(one.runs[task.name].header, task, vectors=False) for one in both)
    return task.uses_vector and ours == theirs


def _contrast(
    pair: _Pair, first: ScoredRun, second: ScoredRun, task: Task, metric: str, rng: Any
) -> Contrast | None:
    seen = compare(first.table, second.table, metric, rng=rng)
    if seen.value is None or seen.p_permutation is None:
        if metric == task.headline:
            raise IntegrityError(f"{pair.first.name} has no {metric} on {task.name}")
        return None
    return Contrast(
        task=task.name,
        metric=metric,
        first=pair.first.name,
        second=pair.second.name,
        why=pair.why,
        value=seen.value,
        interval_95=seen.interval_95,
        p=seen.p_permutation,
    )


def _parts(
    first: ScoredRun, second: ScoredRun, task: Task, suite: Suite
) -> dict[str, dict[str, PartDifference]]:
    queries = {query.id: query for query in suite.queries(SPLIT)}
    return differences(
        first.table,
        second.table,
        [queries[one] for one in first.ids],
        task.headline,
        lambda: draws(suite, task, SPLIT),
    )


def _corrected(rows: Sequence[Contrast]) -> list[Contrast]:
    ps = adjust([row.p for row in rows], "holm")
    return [replace(row, p=p) for row, p in zip(rows, ps, strict=True)]
