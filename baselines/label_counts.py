"""Labels measured again on this machine, by the calculator, and counted."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ..benchmark.cache import OnProgress, silent
from ..benchmark.evaluation.run import OnQueries, run
from ..benchmark.evaluation.spec import RunRequest
from ..benchmark.registry import suites
from ..benchmark.scoring.notes import CALCULATOR
from ..benchmark.scoring.score import score
from ..benchmark.suite.find import shipped_suite, shipped_tasks


def reproduce(
    suite: str,
    *,
    split: str = "mini",
    device: str = "cpu",
    batch_size: int | None = None,
    on_fetch: OnProgress = silent,
    on_queries: OnQueries | None = None,
) -> list[dict[str, Any]]:
    """Carry out the interventions of a suite's causal tasks and compare with its labels.

    Returns:
        For each task `task`, `split` and `labels_reproduced`: `n` labels that came out again, `of`
        all.

    Raises:
        UsageError: unknown suite, split or device.
        MissingPartError: weights, truth or device are missing.
        IntegrityError: a file is corrupt.
    """
    with tempfile.TemporaryDirectory() as folder:
        request = RunRequest(
            model=CALCULATOR,
            suite=suite,
            split=split,
            device=device,
            batch_size=batch_size,
            output=Path(folder),
        )
        done = run(request, on_fetch=on_fetch, on_queries=on_queries)
        where = suite if Path(suite).is_dir() else None
        results = [score(one.path, suite=where) for one in done]
    kept = ("task", "split", "labels_reproduced")
    return [{name: result[name] for name in kept} for result in results]


def suite_about(target: str) -> str | None:
    """Return the shipped suite that is about a target, if there is one."""
    for name in suites():
        for task in shipped_tasks(name):
            if shipped_suite(name, task.name).manifest["target"].get("name") == target:
                return name
    return None
