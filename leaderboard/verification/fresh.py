"""An explainer asked the queries of a fresh suite, which did not exist when it was submitted.

Confirmed is a score that is not lower than the intervals of both allow: whoever trained on the
public queries falls behind here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...benchmark.cache import Progress
from ...benchmark.errors import CheckFailedError, UsageError
from ...benchmark.evaluation.run import run as run_again
from ...benchmark.files import write_bytes_atomic
from ...benchmark.runs.run import Run
from ...benchmark.scoring.grade import about, score_run
from ...benchmark.suite.freeze import write_manifest
from ...benchmark.suite.select import find_suite
from ...benchmark.suite.suite import Suite
from .rerun import Recheck, check_same_explainer, request_again

SAME_TARGET = ("name", "weights_sha256", "tensors_sha256")
"""What a fresh suite's target must share with the public one's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshScore:
    """The headline of one task on both suites."""

    task: str
    metric: str
    public: float  # value on the public queries
    public_95: tuple[float, float]  # its 95 % interval
    fresh: float  # value on the fresh queries
    fresh_95: tuple[float, float]  # its 95 % interval
    data_sha256: str  # hash of the fresh suite's data
    seed: int  # seed of the fresh suite

    @property
    def gap(self) -> float:
        """Public minus fresh: what fitting the public queries may have brought."""
        return self.public - self.fresh

    @property
    def confirmed(self) -> bool:
        """Whether the fresh interval reaches the public one; a higher score confirms too."""
        return self.fresh_95[1] >= self.public_95[0]


def ask_fresh(
    run: Run,
    check: Recheck,
    *,
    progress: Progress,
) -> FreshScore:
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
        new = _headline(score_run(again, task, suite))  # while the suite is there
    old = _headline(score_run(run, task, public))
    return FreshScore(
        task=task.name,
        metric=task.headline,
        public=old["value"],
        public_95=tuple(old["interval_95"]),
        fresh=new["value"],
        fresh_95=tuple(new["interval_95"]),
        data_sha256=own.data_sha256,
        seed=own.manifest["seed"],
    )


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


def _headline(result: Mapping[str, Any]) -> Mapping[str, Any]:
    overall = result["overall"]
    metric: Mapping[str, Any] | None = overall["metrics"][result["headline"]] if overall else None
    if metric is None or metric["value"] is None or metric["interval_95"] is None:
        raise CheckFailedError(f"{result['task']}: {result['headline']} has no interval here")
    return metric
