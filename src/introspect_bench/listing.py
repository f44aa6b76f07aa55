"""What there is: suites, tasks, targets and baselines as rows of plain values."""

from __future__ import annotations

from typing import Any

from introspect_bench.baselines import BASELINES
from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.targets import TARGETS
from introspect_bench.suites import find_suite, tasks_of
from introspect_bench.tasks import SUITES, TASKS


def listing(kind: str) -> list[dict[str, Any]]:
    """List suites, tasks, targets or baselines as rows of plain values.

    Raises:
        UsageError: unknown kind.
        IntegrityError: a suite's manifest is broken.
    """
    if kind == "suites":
        return [_suite_row(name, task.name) for name in SUITES for task, _ in tasks_of(name)]
    if kind == "tasks":
        return [
            {"task": t.name, "version": t.version, "headline": t.headline, "asks": t.summary}
            for t in TASKS
        ]
    if kind == "targets":
        return [
            {
                "target": spec.name,
                "source": f"{spec.source} {spec.location}",
                "layers": spec.n_layers,
                "width": spec.d_model,
                "licence": spec.licence,
                "notes": spec.notes,
            }
            for spec in TARGETS
        ]
    if kind == "baselines":
        return [
            {"model": f"baseline/{spec.name}", "kind": spec.kind, "answers": spec.summary}
            for spec in BASELINES
        ]
    raise UsageError(f"cannot list {kind!r}: choose suites, tasks, targets or baselines")


def _suite_row(name: str, task: str) -> dict[str, Any]:
    found = find_suite(name, task)
    counts = {split: row["queries"] for split, row in found.manifest["splits"].items()}
    return {
        "suite": name,
        "task": task,
        "version": found.version,
        "target": found.manifest["target"].get("name"),
        **counts,
        "mini": len(found.manifest["mini"]),
    }
