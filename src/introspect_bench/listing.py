"""What there is: suites, tasks, targets, baselines, references and versions, as plain rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .baselines import BASELINES
from .baselines.recipes import REFERENCES
from .benchmark.backends.injection.spec import Injection, Injections
from .benchmark.errors import UsageError
from .benchmark.models.targets import named_targets
from .benchmark.registry import BASELINE, REFERENCE, tasks
from .benchmark.runs import provenance
from .benchmark.suite.select import tasks_of
from .benchmark.suite.suite import Suite
from .tasks import SUITES


def ls(kind: str, *, suite: str | None = None) -> list[dict[str, Any]]:
    """List one of `KINDS` as rows of plain values."""
    if kind == "suites":
        names = SUITES if suite is None else (suite,)
        return [_suite_row(found) for name in names for _, found in tasks_of(name)]
    if suite is not None:
        raise UsageError(f"--suite goes with `ls suites`, not with `ls {kind}`")
    if kind not in _ROWS:
        raise UsageError(f"cannot list {kind!r}: choose from {', '.join(KINDS)}")
    return _ROWS[kind]()


def _tasks() -> list[dict[str, Any]]:
    return [
        {"task": t.name, "version": t.version, "headline": t.headline, "asks": t.summary}
        for t in tasks()
    ]


def _targets() -> list[dict[str, Any]]:
    rows = []
    for spec in named_targets():
        # of several packages the first
        first, *more = spec.location.split(" ") if spec.source == "wheel" else [spec.location]
        source = f"{spec.source} {first}" + (f" and {len(more)} more" if more else "")
        row = {"target": spec.name, "source": source, "layers": spec.n_layers}
        rows.append(row | {"width": spec.d_model, "licence": spec.licence, "notes": spec.notes})
    return rows


def _baselines() -> list[dict[str, Any]]:
    return [
        {"model": f"{BASELINE}{spec.name}", "kind": spec.kind, "answers": spec.summary}
        for spec in BASELINES
    ]


def _references() -> list[dict[str, Any]]:
    return [
        {
            "model": f"{REFERENCE}{spec.name}",
            "role": spec.role,
            "vector": "withheld" if spec.no_vector else _vector(spec.injection),
            "what": spec.summary,
        }
        for spec in REFERENCES
    ]


def _versions() -> list[dict[str, Any]]:
    package = provenance.package()
    own = {"introspect-bench": package["version"], "commit": package["commit"]}
    versions = own | provenance.environment()
    return [{"what": name, "version": version} for name, version in versions.items()]


_ROWS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "tasks": _tasks,
    "targets": _targets,
    "baselines": _baselines,
    "references": _references,
    "versions": _versions,
}
KINDS = ("suites", *_ROWS)
"""What can be listed."""


def _vector(injection: Injections) -> str:
    if not isinstance(injection, Injection):
        return "; ".join(f"{task}: {_vector(one)}" for task, one in injection.items())
    layer = "" if injection.layer is None else f":{injection.layer}"
    slots = "" if injection.slots == 1 else f", {injection.slots} slots"
    return f"{injection.mode}{layer}, {injection.scaling}{slots}"


def _suite_row(found: Suite) -> dict[str, Any]:
    counts = {split: row["queries"] for split, row in found.manifest["splits"].items()}
    return {
        "suite": found.name,
        "task": found.task,
        "version": found.version,
        "status": "frozen" if found.frozen else "draft",
        "target": found.manifest["target"]["name"],
        **counts,
        "mini": len(found.manifest["mini"]),
    }
