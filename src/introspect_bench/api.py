"""Every verb as a Python function; the command line calls these and prints what they return.

Owns no computing of its own: finding, reading and handing on. Nothing here imports torch before a
model is needed.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from introspect_bench.benchmark import provenance
from introspect_bench.benchmark.cache import OnProgress, cache_dir, silent
from introspect_bench.benchmark.errors import (
    CheckFailedError,
    IncompleteRunError,
    UsageError,
)
from introspect_bench.benchmark.fetch import prepare_target
from introspect_bench.benchmark.runfile import Run, read_run
from introspect_bench.benchmark.scoring import grade, is_right, score_run
from introspect_bench.benchmark.suite import MINI, Suite
from introspect_bench.benchmark.targets import resolve_target
from introspect_bench.benchmark.task import Task
from introspect_bench.listing import listing
from introspect_bench.request import RunRequest
from introspect_bench.running import OnQueries, TaskPlan, plan_run
from introspect_bench.running import run as _run
from introspect_bench.suites import find_suite, tasks_of
from introspect_bench.tasks import SUITES, TASKS, get_task, suite_root

__all__ = [
    "check_score",
    "data_paths",
    "doctor",
    "has_truth",
    "listing",
    "load",
    "plan",
    "run",
    "score",
    "show",
    "validate",
    "verify_data",
    "version",
]

_REFERENCE = re.compile(r"(?P<path>.+?)(?::(?P<id>[0-9a-f]{16}))?", re.DOTALL)


def run(
    model: str,
    *,
    on_fetch: OnProgress = silent,
    on_queries: OnQueries | None = None,
    **options: Any,
) -> tuple[Run, ...]:
    """Answer the queries of a suite with a model; one run file a task, resumed if it is there.

    Args:
        model: `baseline/NAME`, a folder, a hub id, a target's name, or `py:module:Class`.
        on_fetch: told what is downloaded and prepared.
        on_queries: told task, queries answered, queries in all.
        **options: fields of `RunRequest`, such as `split="mini"`.

    Raises:
        UsageError: unknown name, or an impossible combination.
        MissingPartError: weights, hub, device or disk space are missing.
        IntegrityError: a file is corrupt, or the run file is another run's.
    """
    return _run(RunRequest(model=model, **options), on_fetch=on_fetch, on_queries=on_queries)


def plan(model: str, **options: Any) -> tuple[TaskPlan, ...]:
    """Say what `run` with the same arguments would do; loads no weights."""
    return plan_run(RunRequest(model=model, **options))


def load(path: Path | str) -> Run:
    """Read a run file, strictly.

    Raises:
        UsageError: it can't be opened.
        IntegrityError: it is not a sound run file; the message starts with `file:line`.
    """
    return read_run(Path(path))


def score(path: Path | str, *, suite: str | None = None) -> dict[str, Any]:
    """Score a run file: the JSON object of `benchmark.scoring.score_run`. No model, no network.

    Args:
        path: the run file.
        suite: folder of suites, for a suite that is not in the package.

    Raises:
        UsageError: the file can't be opened, or its suite or task is unknown.
        IntegrityError: the run is corrupt, or about another version of the suite.
    """
    found = load(path)
    task, where = _about(found, suite)
    return score_run(found, task, where)


def has_truth(path: Path | str, *, suite: str | None = None) -> bool:
    """Whether the ground truth of a run's split is on this machine.

    Raises:
        UsageError: the file can't be opened, or its suite or task is unknown.
        IntegrityError: the run is corrupt.
    """
    found = load(path)
    _, where = _about(found, suite)
    split = found.header["task"]["split"]
    return (where.root / ("validation" if split == MINI else split) / "truth.jsonl").is_file()


def check_score(path: Path | str, result: dict[str, Any]) -> None:
    """Fail unless a scored run is complete and what it claims is what was computed.

    Raises:
        IncompleteRunError: queries without a row.
        CheckFailedError: a claimed number differs.
    """
    counts = result["counts"]
    if not result["complete"]:
        raise IncompleteRunError(
            f"{path}: {counts['missing']} of {counts['queries']} queries have no row; run the "
            "same command again to complete it"
        )
    overall = result["overall"]
    for name, claimed in sorted(result["claimed"].items()):
        computed = overall["metrics"].get(name, {}).get("value") if overall else None
        if claimed != computed:
            raise CheckFailedError(f"{path}: claims {name} {claimed!r}, computed {computed!r}")


def validate(path: Path | str) -> dict[str, Any]:
    """Read a run file strictly and say what it is.

    Raises:
        UsageError: it can't be opened.
        IntegrityError: the first thing that is wrong.
    """
    found = load(path)
    about = found.header["task"]
    return {
        "path": str(path),
        "complete": found.complete,
        "partial": found.header["partial"],
        "rows": len(found.rows),
        "queries": about["n"],
        "suite": about["suite"],
        "task": about["id"],
        "split": about["split"],
        "explainer": found.header["explainer"]["name"],
    }


def show(reference: str, *, suite: str | None = None) -> list[dict[str, Any]]:
    """Put queries beside their truth, the raw reply, what was read in it and whether it is right.

    Args:
        reference: path of a run file, or `path:id` for one query.
        suite: folder of suites, for a suite that is not in the package.

    Raises:
        UsageError: the file can't be opened, or it is not about that query.
        IntegrityError: the run is corrupt, or about another version of the suite.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise UsageError("expected RUN or RUN:ID")
    found = load(match["path"])
    task, where = _about(found, suite)
    rows = []
    for one in grade(found, task, where):
        if match["id"] not in (None, one.query.id):
            continue
        verdict_right, content_right = is_right(one)
        answer = one.answer
        rows.append(
            {
                "id": one.query.id,
                "group": one.query.group,
                "kind": one.query.kind,
                "query": task.render(one.query).question,
                "clean": one.truth.clean,
                "truth": one.truth.outcome,
                "changed": one.truth.answer.changed,
                "raw": one.raw,
                "status": one.status,
                "says_changed": None if answer is None else answer.changed,
                "answer": None if answer is None else answer.content,
                "verdict": verdict_right,
                "content": content_right,
                "exact": verdict_right and content_right,
            }
        )
    if not rows:
        raise UsageError(f"{match['path']} is not about a query {match['id']}")
    return rows


def doctor(
    target: str, *, device: str = "cpu", on_fetch: OnProgress = silent
) -> list[dict[str, Any]]:
    """Run the self-tests of interventions on a target.

    Returns:
        A row a test: `name`, `passed`, `detail`.

    Raises:
        UsageError: unknown target.
        MissingPartError: weights or device are missing.
    """
    prepare_target(resolve_target(target), on_progress=on_fetch)
    on_fetch(f"testing interventions on {target}", 0, None)
    from introspect_bench.benchmark.backends.selftests import run_doctor

    return [dataclasses.asdict(check) for check in run_doctor(target, device=device)]


def verify_data(
    suite: str | None = None,
    tasks: Sequence[str] = (),
    *,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Check every byte and cross-reference of suites.

    Raises:
        UsageError: unknown suite or task.
        IntegrityError: the first thing that is wrong; the message names the file.
    """
    rows = []
    for name in SUITES if suite is None else (suite,):
        for task, found in tasks_of(name, tasks):
            found.verify(on_progress)
            rows.append(
                {
                    "suite": found.name,
                    "task": task.name,
                    "version": found.version,
                    "files": len(found.manifest["files"]),
                    "data_sha256": found.data_sha256,
                }
            )
    return rows


def data_paths() -> dict[str, str]:
    """Say where suites and the cache are."""
    roots = {
        f"{name}/{task.name}": suite_root(name, task.name) for name in SUITES for task in TASKS
    }
    return {"cache": str(cache_dir())} | {key: str(root) for key, root in roots.items()}


def version() -> dict[str, Any]:
    """Return the versions of the package and of what its results depend on."""
    return {"package": provenance.package(), "environment": provenance.environment()}


def _about(found: Run, suite: str | None) -> tuple[Task, Suite]:
    """Return the task and the suite a run says it is about."""
    about = found.header["task"]
    return get_task(about["id"]), find_suite(suite or about["suite"], about["id"])
