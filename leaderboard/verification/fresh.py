"""An explainer asked the queries of a fresh suite, which did not exist when it was submitted.

Whoever trained on the public queries falls behind here. Confirmed is a score whose gap, public
minus fresh, is shown to be small: not merely one that too few queries can't tell from none.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...benchmark.cache import Progress
from ...benchmark.errors import CheckFailedError, UsageError
from ...benchmark.evaluation.run import run as run_again
from ...benchmark.files import write_bytes_atomic
from ...benchmark.metrics.bootstrap import ends, estimates, resample
from ...benchmark.metrics.verdicts import Table
from ...benchmark.runs.run import Run
from ...benchmark.scoring.grade import SEED, about, grade_run
from ...benchmark.suite.freeze import write_manifest
from ...benchmark.suite.select import find_suite
from ...benchmark.suite.suite import Suite
from ...benchmark.task import Task
from .rerun import Recheck, check_same_explainer, request_again

SAME_TARGET = ("name", "weights_sha256", "tensors_sha256")
"""What a fresh suite's target must share with the public one's."""
MOST_GAP = 0.05  # a gap is small if the upper end of its interval is below this
MIN_GROUPS = 60
"""Fewest groups on either side: with fewer, a bootstrap's interval is too short to be believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshScore:
    """The headline of one task on both suites; intervals are of 95 %, over groups."""

    task: str
    metric: str
    public: float  # value on the public queries
    public_95: tuple[float, float]
    public_n: tuple[int, int]  # queries and groups it is over
    fresh: float  # value on the fresh queries
    fresh_95: tuple[float, float]
    fresh_n: tuple[int, int]
    gap: float  # public minus fresh: what fitting the public queries may have brought
    gap_95: tuple[float, float]
    data_sha256: str = ""  # hash of the fresh suite's data
    seed: int = 0  # seed of the fresh suite

    @property
    def confirmed(self) -> bool:
        """Whether the gap is shown to be small; a higher fresh score confirms too."""
        return self.gap_95[1] < MOST_GAP and min(self.public_n[1], self.fresh_n[1]) >= MIN_GROUPS

    def as_json(self) -> dict[str, Any]:
        """Return the fields, with `confirmed`."""
        return asdict(self) | {"confirmed": self.confirmed}


def ask_fresh(run: Run, check: Recheck, *, progress: Progress) -> FreshScore:
    """Ask an entry's explainer all queries of a fresh suite and score them."""
    folder = str(check.fresh)
    task, public = about(run, check.suite)
    own = find_suite(folder, task.name)
    split = run.header.task.split
    _check_fresh(public, own, split)
    with tempfile.TemporaryDirectory(prefix="introspect-bench-") as work:
        asked = folder if "train" in own.splits else str(completed(public, own, Path(work)))
        suite = find_suite(asked, task.name)
        request = request_again(run, check, output=Path(work) / "run", suite=asked, judge=True)
        (again,) = run_again(request, progress=progress)
        check_same_explainer(run, again)
        new = _table(again, task, suite)  # while the suite is there
    score = fresh_score(_table(run, task, public), new, task)
    return replace(score, data_sha256=own.data_sha256, seed=own.manifest["seed"])


def fresh_score(public: Table, fresh: Table, task: Task) -> FreshScore:
    """Compare the headline on two tables of different queries: unpaired, groups drawn from each."""
    name, rng = task.headline, np.random.default_rng(SEED)
    sides: dict[str, Any] = {}
    drawn = []
    for side, table in (("public", public), ("fresh", fresh)):
        own = estimates(table, [name], seed=SEED)[name]
        if own["value"] is None or own["interval_95"] is None:
            raise CheckFailedError(f"{task.name}: {name} has no interval here")
        sides |= {side: own["value"], f"{side}_95": tuple(own["interval_95"])}
        sides[f"{side}_n"] = (table.n, table.n_groups)
        drawn.append(resample([table], [name], rng=rng)[name][0])
    gap_95 = ends(drawn[0] - drawn[1])
    if not all(map(math.isfinite, gap_95)):
        raise CheckFailedError(f"{task.name}: the gap of {name} has no interval here")
    gap = sides["public"] - sides["fresh"]
    return FreshScore(task=task.name, metric=name, gap=gap, gap_95=gap_95, **sides)


def completed(public: Suite, fresh: Suite, folder: Path) -> Path:
    """Write a folder of suites with the public train and validation beside the fresh test.

    Solved examples and baselines that learn come from the same queries as in the public run.
    """
    suites = folder / "suites"
    root = suites / public.task / public.version
    for suite, splits in ((public, ("train", "validation")), (fresh, fresh.splits)):
        for name in suite.manifest["files"]:
            if name.partition("/")[0] in splits:
                write_bytes_atomic(root / name, suite.read(name))
    counts = {**public.manifest["splits"], **fresh.manifest["splits"]}
    made = ("schema", "files", "data_sha256", "canary")  # written anew
    fields = {name: value for name, value in fresh.manifest.items() if name not in made}
    write_manifest(root, {**fields, "splits": counts, "mini": public.manifest["mini"]})
    return suites


def _check_fresh(public: Suite, fresh: Suite, split: str) -> None:
    """Refuse a suite about another target, or with a query that was public."""
    for name in SAME_TARGET:
        if public.manifest["target"].get(name) != fresh.manifest["target"].get(name):
            raise UsageError(
                f"{fresh.root}: its target has another {name} than that of {public.name}"
            )
    if split not in fresh.splits:
        raise UsageError(f"{fresh.root} has no split {split}, which the entry answered")
    known = {query.id for part in public.splits for query in public.queries(part)}
    shared = sorted(known & {query.id for query in fresh.queries(split)})
    if shared:
        raise UsageError(
            f"{fresh.root}: query {shared[0]} and {len(shared) - 1} others are public; make a "
            "fresh split with another seed, `introspect-bench data make --fresh N --split test`"
        )


def _table(run: Run, task: Task, suite: Suite) -> Table:
    graded = grade_run(run, task, suite)
    if not graded.kept:
        raise CheckFailedError(f"{run.path}: answers no query of the headline of {task.name}")
    return graded.table(graded.kept)
