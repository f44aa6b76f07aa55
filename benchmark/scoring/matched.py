"""Run files to tables of the same queries: of one task, suite, version, split and data."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import IncompleteRunError, UsageError
from ..metrics.bootstrap import N_RESAMPLES, resample
from ..metrics.verdicts import FloatArray, Table
from ..records import Replied
from ..runs.run import Run, read_run
from ..suite.suite import Suite
from ..task import Task
from .grade import SEED, grade_run, headline_queries, make_table, score_graded
from .score import about


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """A run file, read and graded once."""

    path: Path  # The run file
    run: Run  # What it holds
    task: Task  # The task it is about
    suite: Suite  # The suite it is about
    # Every query it is about, beside truth and answer, in the suite's order
    scored: tuple[Replied, ...]

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

    graded: tuple[Graded, ...]  # The runs, at least one
    # Queries of the headline kinds that all of them are about, in the suite's order
    ids: tuple[str, ...]
    tables: tuple[Table, ...]  # Their answers to these queries, one table a run

    @property
    def task(self) -> Task:
        """The task they are about."""
        return self.graded[0].task

    def resampled(self, metric: str, n_resamples: int = N_RESAMPLES) -> FloatArray:
        """Return a metric of every run on the same resamples, (n_runs, n_resamples)."""
        values = resample(
            self.tables, [metric], rng=stream(self.graded[0]), n_resamples=n_resamples
        )
        return values[metric]


def stream(graded: Graded) -> np.random.Generator:
    """Return the generator of everything that is drawn for runs of one suite and task."""
    return draws(graded.suite, graded.task, graded.split)


def draws(suite: Suite, task: Task, split: str) -> np.random.Generator:
    """Return the same of a suite, task and split."""
    name = f"{suite.name}/{task.name}/{task.version}/{split}"
    digest = hashlib.sha256(name.encode()).digest()
    return np.random.default_rng([SEED, int.from_bytes(digest[:8], "big")])


def grade_file(path: Path | str, *, suite: str | None = None) -> Graded:
    """Read and grade a run file; `suite` is a folder of suites that are not in the package."""
    run = read_run(Path(path))
    task, found = about(run, suite)
    return Graded(
        path=Path(path), run=run, task=task, suite=found, scored=grade_run(run, task, found)
    )


def match(graded: Sequence[Graded], *, common: bool = False) -> Matched:
    """Put runs of one task, at least one, on the same queries.

    Runs are compared on the whole of what they are about, and only if that is the same. With
    `common`, on the queries that all have a row for, which somebody chose: for looking, not for
    claims.
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
    pairs = [
        ("the task", first.task.name, other.task.name),
        ("the suite", first.suite.name, other.suite.name),
        ("the version", first.suite.version, other.suite.version),
        ("the split", first.split, other.split),
        ("data_sha256", first.suite.data_sha256, other.suite.data_sha256),
    ]
    return [pair for pair in pairs if pair[1] != pair[2]]
