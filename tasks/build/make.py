"""Makes a frozen suite of one task for one target: measure, check the bars, write, or refuse.

The order of work is the tasks' own; this module owns splits, statistics, the mini split and the
manifest. On a CPU it computes with one thread, so that the bytes do not depend on the number of
cores; run two tasks side by side.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ...benchmark._version import __version__
from ...benchmark.cache import sole_writer
from ...benchmark.errors import CheckFailedError, UsageError
from ...benchmark.files import write_error
from ...benchmark.records import SPLITS
from ...benchmark.registry import get_task
from ...benchmark.suite.freeze import Measured, measured, write_manifest, write_split
from ...benchmark.suite.suite import open_suite
from ..nulls import check_installed
from .order import Made, NotFrozenError, Order, mini_ids
from .statistics import Bar, check_expressible, describe_kinds, missed, require

if TYPE_CHECKING:
    from ..nulls.ablations import Embed

CALCULATOR_ROWS = 8
"""Rows of a batch in which every label is measured again: fewer than when it was made."""
RESERVE = "reserve"
"""Split of the facts that fresh test splits are made from."""
FEATURES = "feature-descriptions"
"""Name of the task whose queries are features."""


def make_suite(
    order: Order,
    load: Callable[[], Any],
    load_rounded: Callable[[], Any],
    report: Callable[[str, int], None],
    encoder: Callable[[], Embed] | None = None,
) -> dict[str, Any]:
    """Measure and freeze one suite; returns its manifest.

    Args:
        order: what to make.
        load: gives the target model (`benchmark.backends.target_model.TargetModel`), float32.
        load_rounded: gives it with weights rounded to bf16.
        report: told a stage and how many items it just finished.
        encoder: gives a sentence encoder, for a null of input ablations; left out if None.

    Raises:
        UsageError: `order.out` exists, the task cannot be built, or another process builds it.
        NotFrozenError: a bar was missed; every missed bar is named, and the statistics are given.
        CheckFailedError: a self-test failed, or there was nothing to choose from.
        MissingPartError: the disk is full, a folder can't be written, or scikit-learn is missing.
    """
    if order.out.exists():
        raise UsageError(
            f"{order.out} exists: frozen suites are never rewritten, choose another -o"
        )
    with sole_writer(order.work):
        return _make(order, load, load_rounded, report, encoder)


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
    encoder: Callable[[], Embed] | None,
) -> dict[str, Any]:
    if order.nulls and order.task != FEATURES:
        check_installed()
    target = load()
    doctor = _doctor(target)
    partial = order.out.with_name(order.out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    if order.task == FEATURES:
        made = _measure_features(order, target, doctor, report, partial)
    else:
        made = _measure(order, target, load_rounded, report, partial)
        _write(order, made, doctor, partial)
        if order.nulls:
            _fit_nulls(order, made, target, encoder, report, partial)
    if not (order.draft or order.accept_misses):
        try:
            require(made.misses)
        except CheckFailedError as error:
            shutil.rmtree(partial)  # what is refused leaves nothing behind
            raise NotFrozenError(str(error), statistics=made.statistics) from error
    manifest = _write(order, made, doctor, partial)
    try:
        partial.rename(order.out)
    except OSError as error:
        raise write_error(order.out, error) from error
    return manifest


def _write(order: Order, made: Made, doctor: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """Write the manifest with what is known so far."""
    task = get_task(order.task)
    validation = folder / "validation" / "queries.jsonl"
    return write_manifest(
        folder,
        {
            "suite": order.suite,
            "task": order.task,
            "version": task.version,
            "frozen": not made.misses or (order.accept_misses and not order.draft),
            "target": dict(order.target),
            "splits": made.counts,
            "mini": mini_ids(validation) if "validation" in made.counts else [],
            "prompt_sha256": task.prompt_sha256,
            "builder": {**builder(order.task), "device": order.device},
            "seed": order.seed,
            "doctor": doctor,
            "statistics": made.statistics,
            "stability": made.stability,
            "nulls": made.nulls,
            "bars_missed": [f"{miss}." for miss in made.misses],
            **made.extra,
        },
    )


def _fit_nulls(
    order: Order,
    made: Made,
    target: Any,
    encoder: Callable[[], Embed] | None,
    report: Callable[[str, int], None],
    folder: Path,
) -> None:
    """Fit null models on train, or on the public suite's, and see which bars they break."""
    from ...benchmark.backends.interventions.calculator import Calculator, Places
    from ..nulls.bars import missed_bars
    from ..nulls.run import MEASURED, suite_nulls

    splits = [split for split in MEASURED if split in made.counts]
    made.nulls = suite_nulls(
        open_suite(folder),
        splits=splits,
        train=None if order.public is None else open_suite(order.public),
        target=Places(target),
        embed=None if encoder is None else encoder(),
        calculator=Calculator(target, CALCULATOR_ROWS),
    )
    for split in splits:
        made.misses += [f"{split}: {miss}" for miss in missed_bars(order.task, made.nulls[split])]
        report(f"{split}: nulls measured", len(made.nulls[split]))


def _measure(
    order: Order,
    target: Any,
    load_rounded: Callable[[], Any],
    report: Callable[[str, int], None],
    folder: Path,
) -> Made:
    """Measure and write every split."""
    build = _builder(order.task)
    options: dict[str, Any] = {} if order.sizes is None else {"sizes": order.sizes}
    public = None if order.public is None else open_suite(order.public)
    splits: Sequence[str] = SPLITS
    known: dict[str, Sequence[Sequence[Measured]]] = {}
    if public is not None:
        options["facts"] = RESERVE
        splits, known = ("test",), {"train": measured(public, "train")}
    made = Made()
    groups: dict[str, Sequence[Sequence[Measured]]] = {}
    for split in splits:
        if getattr(build, "KNOWS_TRAIN", False) and split != "train":
            options["known"] = (known | groups)["train"]
        groups[split], flips = build.make_split(
            target,
            split,
            seed=order.seed,
            work=order.work / split,
            report=lambda stage, n, split=split: report(f"{split}: {stage}", n),
            rounded=load_rounded,
            **options,
        )
        if tried := flips.pop("tried", None):
            made.extra.setdefault("tried", {})[split] = tried
        if flips:
            made.stability[split] = flips
    if hasattr(build, "finish"):  # what depends on the training vectors
        finished = build.finish(known | groups)
        groups = {split: finished[split] for split in groups}
    for split in (split for split in SPLITS if split in groups):
        made.statistics[split] = describe_kinds(groups[split], get_task(order.task).headline_kinds)
        made.misses += [
            f"{split}: {miss}" for miss in _misses(build, split, made.statistics[split])
        ]
        check_expressible(split, groups[split])
        made.counts[split] = write_split(folder / split, order.task, groups[split])
    return made


def _measure_features(
    order: Order,
    target: Any,
    doctor: Mapping[str, str],
    report: Callable[[str, int], None],
    folder: Path,
) -> Made:
    """Measure and write the features of every split, and have them judged."""
    from ..feature_descriptions.build.suite import judge_features, judges_of, make_features
    from ..feature_descriptions.judge.quality import BARS

    if order.folder is None:
        raise UsageError("features need the folder of the target's weights")
    found = make_features(
        target,
        order.folder,
        folder,
        work=order.work,
        seed=order.seed,
        report=report,
        sizes=order.sizes,
    )
    made = Made(counts=dict(found.counts), statistics=dict(found.statistics))
    made.extra = {"truth": "descriptions", "judges": judges_of(found)}
    _write(order, made, doctor, folder)
    more, made.nulls = judge_features(open_suite(folder), found, seed=order.seed, report=report)
    made.statistics |= more
    made.misses = missed(made.statistics, BARS)
    return made


def _builder(task: str) -> ModuleType:
    # Builders import torch; nothing else in this module does.
    if task == "activation-patching":
        from ..activation_patching.build import build as patching

        return patching
    if task == "input-ablations":
        from ..input_ablations.build import build as ablations

        return ablations
    if task == FEATURES:
        from ..feature_descriptions.build import suite as features

        return features
    raise UsageError(f"task {task!r} cannot be built")


def _doctor(target: Any) -> dict[str, str]:
    import torch

    from ...benchmark.backends.interventions.selftests import check_model

    if target.device.type == "cpu":
        torch.set_num_threads(1)
    checks = check_model(target)
    failed = [check.name for check in checks if not check.passed]
    if failed:
        raise CheckFailedError(f"self-tests failed on this target: {', '.join(failed)}")
    return {check.name: "pass" for check in checks}


def _misses(build: ModuleType, split: str, statistics: Mapping[str, Any]) -> list[str]:
    bars: tuple[Bar, ...] = build.BARS[split] + build.BARS_ALL
    found = missed(dict(statistics), bars)
    for kind, own in build.BARS_KIND.items():
        if kind in statistics["by_kind"]:
            found += [f"{kind} {miss}" for miss in missed(statistics["by_kind"][kind], own)]
    return found
