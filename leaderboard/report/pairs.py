"""Submissions to the page of results: which entries are set against which, and how they differ.

Owns the choice of pairs. The statistics are `benchmark/metrics/paired.py`'s, the words
`report.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...benchmark.errors import IntegrityError
from ...benchmark.files import write_bytes_atomic
from ...benchmark.metrics.paired import adjust, compare
from ...benchmark.metrics.slices import PartDifference, differences
from ...benchmark.runs.new_header import decoding_of
from ...benchmark.scoring.equals import fixed_verdict, recipe
from ...benchmark.scoring.matched import draws
from ...benchmark.suite.suite import Suite
from ...benchmark.task import Task
from ..site.build import Collected, OnEntry, collect
from ..site.matrix import Against, against_self, asked_of
from ..site.rows import Scored, made_from
from ..site.scored import ScoredRun
from ..submissions.checks import SPLIT
from .contrasts import Contrast
from .report import report
from .studies import cells_of, trials_of


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    first: Scored
    second: Scored
    why: str


def board_report(
    submissions: Path | str = "submissions",
    output: Path | str | None = None,
    *,
    study: Path | str | None = None,
    rates: Path | str | None = None,
    suite: str | None = None,
    use_cache: bool = True,
    on_entry: OnEntry = lambda _done, _total: None,
) -> str:
    """Write what the submissions show as a Markdown page; the same submissions give the same bytes.

    Args:
        submissions: folder of entries.
        output: file that gets the page; none if None.
        study: folder with run files of explainers that differ in how vectors enter, of any split.
        rates: folder with records of trainings that differ in their learning rate.
        suite: folder of suites, for suites that are not in the package.
        use_cache: whether scores of the same bytes may come from the user's cache.
        on_entry: told run files scored, and run files in all.

    Returns:
        The page.

    Raises:
        UsageError: there are no entries, the study has no runs or one of a part of a split, or a
            suite or task is unknown.
        IntegrityError: an entry, a run or the ledger is broken.
        CheckFailedError: a run is partial, on a draft, or claims another score.
        IncompleteRunError: a run lacks rows.
        MissingPartError: the page can't be written.
    """
    found = collect(Path(submissions), suite=suite, use_cache=use_cache, on_entry=on_entry)
    use, beaten, results, trained = [], [], [], []
    asked = asked_of([(one.tasks, one.entries) for one in found])
    for one in found:
        use += _contrasts(one, _controls(one.entries), headline=False)
        beaten += _contrasts(one, _pairs(_selves(one), _baselines(one)))
        for entry in one.entries:
            if entry.standing.withdrawn:
                continue
            own = [_classed(run.result, task, entry) for task, run in entry.runs.items()]
            results += own
            trained += own if entry.entry.fields["kind"] == "trained" else []
    page = report(
        results,
        _corrected(use),
        [_to_self(one) for one in against_self(asked)],
        _corrected(beaten),
        trained=trained,
        study=cells_of(study, suite),
        rates=trials_of(rates),
    )
    if output is not None:
        write_bytes_atomic(Path(output), page.encode())
    return page


def _controls(entries: Sequence[Scored]) -> list[_Pair]:
    """Explainers with their controls: those they name, and themselves with shuffled vectors."""
    pairs = []
    by_id = {one.entry.id: one for one in entries}
    for one in entries:
        named = by_id.get(str(one.entry.fields.get("vector_use")))
        if named is not None and not _shuffled(named):
            pairs.append(_Pair(first=one, second=named, why="no vectors"))
        pairs += [
            _Pair(first=one, second=other, why="vectors shuffled")
            for other in entries
            if _shuffled(other) and not _shuffled(one)
            if other is named or _weights(one) == _weights(other)
        ]
    return pairs


def _classed(result: Mapping[str, Any], task: str, entry: Scored) -> Mapping[str, Any]:
    """What `score` returned, with the access class that the entry stands in."""
    access = entry.access.by_task[task]
    return {**result, "access": f"{access}, not ranked" if entry.access.unranked else access}


def _to_self(found: Against) -> Contrast:
    """The self-explainer minus the other: the page's difference, the other way round."""
    own, other, away = found.own, found.other, found.value
    interval = None if away.low is None or away.high is None else (-away.high, -away.low)
    return Contrast(
        task=own.task.name,
        metric=own.task.headline,
        first=_name(own.found),
        second=_name(other.found),
        why=_difference(other.found),
        value=-away.value,
        interval_95=interval,
        p=found.p,
        parts=_parts(own.run, other.run, own.task, own.suite),
    )


def _selves(found: Collected) -> list[Scored]:
    """Trained self-explainers that have their own vectors."""
    target = str(found.tasks[0][1].manifest["target"].get("name"))
    return [
        one
        for one in found.entries
        if one.entry.fields["kind"] == "trained"
        and not (_blind(one) or one.standing.withdrawn or one.access.unranked or _twin(one))
        and made_from(one, found.tasks) == target
    ]


def _baselines(found: Collected) -> list[Scored]:
    """What a self-explainer has to beat: contestants that were not trained, and no controls."""
    return [
        one
        for one in found.entries
        if one.entry.fields["kind"] in ("baseline", "untrained")
        and not (_blind(one) or one.standing.withdrawn or one.access.unranked)
    ]


def _pairs(selves: Sequence[Scored], others: Sequence[Scored]) -> list[_Pair]:
    return [_Pair(first=own, second=other, why="not trained") for own in selves for other in others]


def _difference(other: Scored) -> str:
    twin = _twin(other)
    return f"{twin} twin" if twin else "another model"


def _twin(one: Scored) -> str | None:
    """The kind of twin that an explainer was made from, or nothing."""
    for run in one.runs.values():
        if twin := run.header["explainer"].get("settings", {}).get("twin"):
            return str(twin.get("kind")) if isinstance(twin, dict) else "unknown"
    return None


def _blind(one: Scored) -> bool:
    """Whether an explainer did not have the queries' own vectors."""
    return any(run.header["explainer"]["no_vector"] for run in one.runs.values()) or _shuffled(one)


def _shuffled(one: Scored) -> bool:
    return any(run.header["explainer"].get("shuffled_vectors") for run in one.runs.values())


def _weights(one: Scored) -> tuple[Any, ...]:
    """What tells explainers apart besides their vectors."""
    found = [run.header["explainer"] for run in one.runs.values()]
    return tuple(
        (
            explainer["no_vector"],
            decoding_of(explainer),
            sorted(explainer.get("weights_sha256", {}).items()),
        )
        for explainer in found[:1]
        if explainer.get("weights_sha256")
    ) or (one.entry.id,)


def _contrasts(
    found: Collected, pairs: Sequence[_Pair], *, headline: bool = True
) -> list[Contrast]:
    """Compare pairs on each task; where they differ in vectors, on those that have some."""
    rows: list[Contrast] = []
    for task, suite in found.tasks:
        for pair in pairs:
            first, second = (one.runs.get(task.name) for one in (pair.first, pair.second))
            if first is None or second is None or not _comparable(pair, task):
                continue
            for metric in (task.headline,) if headline else task.metrics:
                if any(fixed_verdict(run.header, suite, metric) for run in (first, second)):
                    continue
                row = _contrast(pair, first, second, task, metric, draws(suite, task, SPLIT))
                if row and not headline and metric == task.headline:
                    row = replace(row, parts=_parts(first, second, task, suite))
                rows += [row] if row else []
    return rows


def _comparable(pair: _Pair, task: Task) -> bool:
    """Whether nothing else tells a pair apart than what it is set against each other for."""
    one, other = (which.runs[task.name].header for which in (pair.first, pair.second))
    if pair.why == "not trained":
        classes = {which.access.by_task[task.name] for which in (pair.first, pair.second)}
        return len(classes) == 1
    # without vectors there is no intervention to replay: a control's class may be narrower
    ours, theirs = (recipe(header, task, vectors=False) for header in (one, other))
    return task.uses_vector and ours == theirs


def _contrast(
    pair: _Pair, first: ScoredRun, second: ScoredRun, task: Task, metric: str, rng: Any
) -> Contrast | None:
    """Compare two on one metric; None where one of them has no value of it."""
    seen = compare(first.table, second.table, metric, rng=rng)
    if seen.value is None or seen.p_permutation is None:
        if metric == task.headline:
            raise IntegrityError(f"{_name(pair.first)} has no {metric} on {task.name}")
        return None
    return Contrast(
        task=task.name,
        metric=metric,
        first=_name(pair.first),
        second=_name(pair.second),
        why=pair.why,
        value=seen.value,
        interval_95=seen.interval_95,
        p=seen.p_permutation,
    )


def _parts(
    first: ScoredRun, second: ScoredRun, task: Task, suite: Suite
) -> dict[str, dict[str, PartDifference]]:
    """Compare two on parts of the queries by the headline metric."""
    queries = {query.id: query for query in suite.queries(SPLIT)}
    return differences(
        first.table,
        second.table,
        [queries[one] for one in first.ids],
        task.headline,
        lambda: draws(suite, task, SPLIT),
    )


def _name(one: Scored) -> str:
    return f"{one.entry.fields['org']}/{one.entry.fields['name']}"


def _corrected(rows: Sequence[Contrast]) -> list[Contrast]:
    ps = adjust([row.p for row in rows], "holm")
    return [replace(row, p=p) for row, p in zip(rows, ps, strict=True)]
