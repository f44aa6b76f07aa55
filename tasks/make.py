"""Makes a frozen suite of one task for one target: measure, check the bars, write, or refuse.

The order of work is the tasks' own; this module owns splits, statistics, the mini split and the
manifest. On a CPU it computes with one thread, so that the bytes do not depend on the number of
cores; run two tasks side by side.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from introspect_bench import __version__
from introspect_bench.benchmark.errors import CheckFailedError, UsageError
from introspect_bench.benchmark.files import read_jsonl, write_error
from introspect_bench.benchmark.freeze import Measured, write_manifest, write_split
from introspect_bench.benchmark.journal import sole_writer
from introspect_bench.benchmark.records import SPLITS
from introspect_bench.tasks import get_task
from introspect_bench.tasks.statistics import Bar, describe, missed, require

MINI_GROUPS = 8
"""Groups of validation that form the mini split."""
MINI_FEATURES = 32
"""The same where a group is one feature."""
FEATURES = "feature-descriptions"
"""Name of the task whose queries are features."""


class NotFrozenError(CheckFailedError):
    """A suite was measured and misses its bars; nothing was written."""

    def __init__(self, message: str, *, statistics: Mapping[str, Any]) -> None:
        """Keep what was measured, so that it can be shown."""
        super().__init__(message)
        self.statistics = statistics


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be made."""

    suite: str
    """Name of the suite."""
    task: str
    """Name of the task."""
    target: Mapping[str, Any]
    """Description of the target for the manifest: name, source, revision, hashes."""
    seed: int
    """Chooses prompts, demonstrations, sources, hints and sentences."""
    out: Path
    """Folder to be made; must not exist, for what is frozen stays."""
    folder: Path | None = None
    """Folder of the target's weights; features need it, to train a simulator on them."""
    work: Path
    """Folder of journals; kept, so that a killed build goes on. Belongs to one version of the
    builder, one model and one device."""
    device: str = "cpu"
    """What the model computes on, for the manifest."""
    sizes: Mapping[str, Any] | None = None
    """Other sizes than the task's own, for drafts."""
    draft: bool = False
    """Write even if bars are missed, marked as not frozen."""


@dataclass(slots=True)
class _Made:
    """What was measured, by split, and the bars it misses."""

    counts: dict[str, Any] = field(default_factory=dict)
    statistics: dict[str, Any] = field(default_factory=dict)
    stability: dict[str, Any] = field(default_factory=dict)
    misses: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    mini_groups: int = MINI_GROUPS


def make_suite(
    order: Order,
    load: Callable[[], Any],
    load_rounded: Callable[[], Any],
    report: Callable[[str, int], None],
) -> dict[str, Any]:
    """Measure and freeze one suite; returns its manifest.

    Args:
        order: what to make.
        load: gives the target model (`benchmark.backends.target_model.TargetModel`), float32.
        load_rounded: gives it with weights rounded to bf16.
        report: told a stage and how many items it just finished.

    Raises:
        UsageError: `order.out` exists, the task cannot be built, or another process builds it.
        NotFrozenError: a bar was missed; every missed bar is named, and the statistics are given.
        CheckFailedError: a self-test failed, or there was nothing to choose from.
        MissingPartError: the disk is full, or a folder can't be written.
    """
    if order.out.exists():
        raise UsageError(
            f"{order.out} exists: frozen suites are never rewritten, choose another -o"
        )
    with sole_writer(order.work):
        return _make(order, load, load_rounded, report)


def builder(task: str) -> dict[str, Any]:
    """Say what measures a task: package, its version, and the version of what is measured.

    Raises:
        UsageError: the task cannot be built.
    """
    return {
        "package": "introspect-bench",
        "version": __version__,
        "build": _builder(task).BUILD,
    }


def _make(
    order: Order,
    load: Callable[[], Any],
    load_rounded: Callable[[], Any],
    report: Callable[[str, int], None],
) -> dict[str, Any]:
    target = load()
    doctor = _doctor(target)
    partial = order.out.with_name(order.out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    if order.task == FEATURES:
        made = _measure_features(order, target, report, partial)
    else:
        made = _measure(order, target, load_rounded, report, partial)
    if not order.draft:
        try:
            require(made.misses)
        except CheckFailedError as error:
            shutil.rmtree(partial)  # what is refused leaves nothing behind
            raise NotFrozenError(str(error), statistics=made.statistics) from error
    task = get_task(order.task)
    manifest = write_manifest(
        partial,
        {
            "suite": order.suite,
            "task": order.task,
            "version": task.version,
            "frozen": not made.misses,
            "target": dict(order.target),
            "splits": made.counts,
            "mini": mini_ids(partial / "validation" / "queries.jsonl", made.mini_groups),
            "prompt_sha256": task.prompt_sha256,
            "builder": {**builder(order.task), "device": order.device},
            "seed": order.seed,
            "doctor": doctor,
            "statistics": made.statistics,
            "stability": made.stability,
            **made.extra,
        },
    )
    try:
        partial.rename(order.out)
    except OSError as error:
        raise write_error(order.out, error) from error
    return manifest


def _measure(
    order: Order,
    target: Any,
    load_rounded: Callable[[], Any],
    report: Callable[[str, int], None],
    folder: Path,
) -> _Made:
    """Measure and write every split."""
    build = _builder(order.task)
    sizes = {} if order.sizes is None else {"sizes": order.sizes}
    made = _Made()
    found: dict[str, list[list[Measured]]] = {}
    for split in getattr(build, "ORDER", SPLITS):
        found[split], flips = build.make_split(
            target,
            split,
            seed=order.seed,
            work=order.work / split,
            report=lambda stage, n, split=split: report(f"{split}: {stage}", n),
            rounded=load_rounded,
            **sizes,
        )
        if tried := flips.pop("tried", None):
            made.extra.setdefault("tried", {})[split] = tried
        if flips:
            made.stability[split] = flips
    found = build.finish(found) if hasattr(build, "finish") else found
    for split in SPLITS:
        groups = found[split]
        made.statistics[split] = _statistics(groups, get_task(order.task).headline_kinds)
        made.misses += [
            f"{split}: {miss}" for miss in _misses(build, split, made.statistics[split])
        ]
        made.counts[split] = write_split(folder / split, order.task, groups)
    return made


def _measure_features(
    order: Order, target: Any, report: Callable[[str, int], None], folder: Path
) -> _Made:
    """Measure and write the features of every split, and train their simulator."""
    from introspect_bench.tasks.feature_descriptions.finish import BARS
    from introspect_bench.tasks.feature_descriptions.make import make_features

    if order.folder is None:
        raise UsageError("features need the folder of the target's weights")
    version = get_task(order.task).version
    found = make_features(
        target,
        order.folder,
        folder,
        name=f"{order.suite}-{version}",
        base=order.target["name"],
        simulators=order.out.parent / "simulators",
        work=order.work,
        seed=order.seed,
        report=report,
        sizes=order.sizes,
    )
    made = _Made(counts=dict(found.counts), statistics=dict(found.statistics))
    for part, bars in BARS.items():
        made.misses += [f"{part}: {miss}" for miss in missed(made.statistics[part], bars)]
    made.extra = {"truth": "descriptions", "judges": dict(found.judges)}
    made.mini_groups = MINI_FEATURES
    return made


def _builder(task: str) -> ModuleType:
    # Builders import torch; nothing else in this module does.
    if task == "activation-patching":
        from introspect_bench.tasks.activation_patching import build as patching

        return patching
    if task == "input-ablations":
        from introspect_bench.tasks.input_ablations import build as ablations

        return ablations
    if task == FEATURES:
        from introspect_bench.tasks.feature_descriptions import build as features

        return features
    raise UsageError(f"task {task!r} cannot be built")


def _doctor(target: Any) -> dict[str, str]:
    import torch

    from introspect_bench.benchmark.backends.selftests import check_model

    if target.device.type == "cpu":
        torch.set_num_threads(1)
    checks = check_model(target)
    failed = [check.name for check in checks if not check.passed]
    if failed:
        raise CheckFailedError(f"self-tests failed on this target: {', '.join(failed)}")
    return {check.name: "pass" for check in checks}


def _statistics(
    groups: Sequence[Sequence[Measured]], headline: Sequence[str] | None
) -> dict[str, Any]:
    kinds = sorted({group[0].kind for group in groups})
    main = [group for group in groups if headline is None or group[0].kind in headline]
    by_kind = {kind: describe([g for g in groups if g[0].kind == kind]) for kind in kinds}
    return {**describe(main), "by_kind": by_kind}


def _misses(build: ModuleType, split: str, statistics: Mapping[str, Any]) -> list[str]:
    bars: tuple[Bar, ...] = build.BARS[split] + build.BARS_ALL
    found = missed(dict(statistics), bars)
    for kind, own in build.BARS_KIND.items():
        if kind in statistics["by_kind"]:
            found += [f"{kind} {miss}" for miss in missed(statistics["by_kind"][kind], own)]
    return found


def mini_ids(queries: Path, n_groups: int = MINI_GROUPS) -> list[str]:
    """Ids of the mini split: the first groups of each kind in turn, by group id."""
    groups: dict[str, dict[str, list[str]]] = {}
    for _, row in read_jsonl(queries):
        groups.setdefault(row["kind"], {}).setdefault(row["group"], []).append(row["id"])
    queues = {kind: [found[name] for name in sorted(found)] for kind, found in groups.items()}
    chosen: list[list[str]] = []
    while len(chosen) < n_groups and any(queues.values()):
        for kind in sorted(queues):
            if queues[kind] and len(chosen) < n_groups:
                chosen.append(queues[kind].pop(0))
    return sorted(key for group in chosen for key in group)
