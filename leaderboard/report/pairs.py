"""Submissions to the page of results: which entries are set against which, how they differ."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...benchmark.cache import Progress, silent
from ...benchmark.files import write_bytes_atomic
from ..site.build import collect
from ..site.contrasts import NOT_TRAINED, Pair, contrasts, controls, corrected, parts_between
from ..site.matrix import Against, against_self, contestants_of
from ..site.rows import Collected, ScoredEntry, is_target
from .report import Contrast, report
from .studies import cells_of, trials_of
from .trainings import later_of, trainings_of, twin_of


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
    trainings = trainings_of(collected)
    later = later_of(trainings)
    use, beaten, results, trained = [], [], [], []
    for one in collected:
        use += contrasts(one, controls(one.entries), use_cache=use_cache)
        beaten += contrasts(one, _beaten(one), use_cache=use_cache)
        for entry in one.entries:
            if entry.ledger.withdrawn or entry.name in later:
                continue
            own = [_classed(run.result, task, entry) for task, run in entry.runs.items()]
            results += own
            trained += own if entry.entry.fields.kind == "trained" else []
    page = report(
        results,
        corrected(use),
        [_to_self(one) for one in against_self(contestants_of(collected))],
        corrected(beaten),
        trained=trained,
        trainings=trainings,
        study=cells_of(study, suite),
        rates=trials_of(rates),
    )
    if output is not None:
        write_bytes_atomic(Path(output), page.encode())
    return page


def _beaten(found: Collected) -> list[Pair]:
    """Self-explainers with what they have to beat: contestants not trained, and no controls."""
    known = [one for one in found.entries if one.own_vectors and one.ranked]
    selves = [
        one
        for one in known
        if one.entry.fields.kind == "trained" and not twin_of(one)
        if is_target(one, found)
    ]
    others = [one for one in known if one.entry.fields.kind in ("baseline", "untrained")]
    return [Pair(one, other, NOT_TRAINED) for one in selves for other in others]


def _classed(result: Mapping[str, Any], task: str, entry: ScoredEntry) -> Mapping[str, Any]:
    access = entry.access.by_task[task]
    return {**result, "access": f"{access}, not ranked" if entry.access.unranked else access}


def _to_self(found: Against) -> Contrast:
    """The self-explainer minus the other: the page's difference, the other way round."""
    own, other, away = found.own, found.other, found.value
    interval = None if away.low is None or away.high is None else (-away.high, -away.low)
    twin = twin_of(other.found)
    return Contrast(
        task=own.task.name,
        metric=own.task.headline,
        first=own.found.name,
        second=other.found.name,
        why=f"{twin} twin" if twin else "another model",
        value=-away.value,
        interval_95=interval,
        p=found.p,
        parts=parts_between(own.run, other.run, own.task, own.suite),
    )
