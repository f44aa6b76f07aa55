"""Submissions to the page of results: which entries are set against which, and how they differ.

Owns the choice of pairs. The statistics are `benchmark.paired`'s, the words `leaderboard.report`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from introspect_bench.benchmark.errors import IntegrityError
from introspect_bench.benchmark.files import write_bytes_atomic
from introspect_bench.benchmark.paired import adjust, compare
from introspect_bench.benchmark.parts import PartDifference, differences
from introspect_bench.benchmark.runheader import decoding_of, n_train
from introspect_bench.benchmark.suite import Suite
from introspect_bench.benchmark.task import Task
from introspect_bench.board_rows import Scored, made_from
from introspect_bench.boards import Collected, OnEntry, collect
from introspect_bench.entry_checks import SPLIT
from introspect_bench.leaderboard.contrasts import Contrast
from introspect_bench.leaderboard.report import report
from introspect_bench.matching import draws
from introspect_bench.scored_runs import ScoredRun
from introspect_bench.studies import cells_of, trials_of


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    first: Scored
    second: Scored
    why: str
    trained: bool = False
    """Whether both were trained, so that a difference needs all else to be equal."""


def leaderboard_report(
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
    use, access, beaten, results, trained = [], [], [], [], []
    for one in found:
        use += _contrasts(one, _controls(one.entries), headline=False)
        selves, others = _selves(one)
        access += _contrasts(one, _pairs(selves, others))
        beaten += _contrasts(one, _pairs(selves, _baselines(one)), every=True)
        for entry in one.entries:
            if entry.standing.withdrawn:
                continue
            own = [run.result for run in entry.runs.values()]
            results += own
            trained += own if entry.entry.fields["kind"] == "trained" else []
    page = report(
        results,
        _corrected(use),
        _corrected(access),
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


def _selves(found: Collected) -> tuple[list[Scored], list[Scored]]:
    """Trained self-explainers, and every other trained explainer; all have their own vectors."""
    target = str(found.tasks[0][1].manifest["target"].get("name"))
    asked = [
        one
        for one in found.entries
        if one.entry.fields["kind"] == "trained" and not _blind(one) and not one.standing.withdrawn
    ]
    selves = [one for one in asked if made_from(one, found.tasks) == target and not _twin(one)]
    return selves, [one for one in asked if one not in selves]


def _baselines(found: Collected) -> list[Scored]:
    """What a self-explainer has to beat: contestants that were not trained, and no controls."""
    return [
        one
        for one in found.entries
        if one.entry.fields["kind"] in ("baseline", "untrained")
        and not _blind(one)
        and not one.standing.withdrawn
    ]


def _pairs(selves: Sequence[Scored], others: Sequence[Scored]) -> list[_Pair]:
    return [
        _Pair(
            first=own,
            second=other,
            why=_difference(other),
            trained=other.entry.fields["kind"] == "trained",
        )
        for own in selves
        for other in others
    ]


def _difference(other: Scored) -> str:
    if other.entry.fields["kind"] != "trained":
        return "not trained"
    twin = _twin(other)
    return f"{twin} twin" if twin else "another model"


def _alike(first: object, second: object, task: str) -> bool:
    """Whether two runs' explainers learnt from as many queries, and vectors enter alike."""
    said = []
    for run in (first, second):
        if not isinstance(run, ScoredRun):
            return False
        explainer = run.header["explainer"]
        settings = explainer.get("settings")
        way = settings.get("injection") if isinstance(settings, Mapping) else None
        said.append((n_train(explainer, task), _how(way)))
    return said[0] == said[1]


def _how(way: object) -> object:
    """What of a declared injection has to be the same."""
    if not isinstance(way, Mapping):
        return way
    return [way.get(key) for key in ("mode", "layer", "scaling", "slots")]


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
    found: Collected, pairs: Sequence[_Pair], *, every: bool = False, headline: bool = True
) -> list[Contrast]:
    """Compare pairs on each task, or where they differ in vectors, on those that have some."""
    rows = []
    for task, suite in found.tasks:
        for pair in pairs:
            runs = [one.runs.get(task.name) for one in (pair.first, pair.second)]
            if not every and not task.uses_vector and pair.why != "another model":
                continue  # nothing of this task's prompts is a vector
            first, second = runs
            if pair.trained and not _alike(first, second, task.name):
                continue
            if isinstance(first, ScoredRun) and isinstance(second, ScoredRun):
                for metric in (task.headline,) if headline else task.metrics:
                    row = _contrast(pair, first, second, task, metric, draws(suite, task, SPLIT))
                    if row and not every and metric == task.headline:
                        row = replace(row, parts=_parts(first, second, task, suite))
                    rows += [row] if row else []
    return rows


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
