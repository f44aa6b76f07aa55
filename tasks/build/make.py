"""Makes a frozen suite of one task for one target: measure, check the bars, write, or refuse.

The order of work is the tasks' own; this module owns splits, statistics, the mini split and the
manifest. On a CPU it computes with one thread, so that the bytes do not depend on the number of
cores; run two tasks side by side.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
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
from ...benchmark.team import team
from ..nulls import check_installed
from .order import FRESH, NotFrozenError, Order, Report, SplitJob, mini_ids
from .statistics import Bar, check_expressible, describe_kinds, missed

if TYPE_CHECKING:
    from ..nulls.ablations import Embed

CALCULATOR_ROWS = 8
"""Rows of a batch in which every label is measured again: fewer than when it was made."""
RESERVE = "reserve"  # split of the facts that fresh test splits are made from
FEATURES = "feature-descriptions"  # name of the task whose queries are features
BUILDERS = {
    "activation-patching": "..activation_patching.build.build",
    "input-ablations": "..input_ablations.build.build",
    FEATURES: "..feature_descriptions.build.suite",
}
"""Module that measures each task; these import torch, which nothing else here does."""


def make_suite(
    order: Order,
    load: Callable[[], Any],
    load_rounded: Callable[[], Any],
    report: Report,
    encoder: Callable[[], Embed] | None = None,
) -> dict[str, Any]:
    """Measure and freeze one suite; returns its manifest.

    Raises UsageError: `order.out` exists, the task cannot be built, or another process builds it;
    NotFrozenError: a bar was missed; every missed bar is named, and the statistics are given;
    CheckFailedError: a self-test failed, or there was nothing to choose from; MissingPartError: the
    disk is full, a folder can't be written, or scikit-learn is missing.
    """
    if order.task == FEATURES and team().size > 1:
        raise UsageError(f"{FEATURES} are made by one process; start it without torchrun")
    if team().share(order.out.exists):
        raise UsageError(
            f"{order.out} exists: frozen suites are never rewritten, choose another -o"
        )
    with _own_place(order) as order, sole_writer(order.work):
        if order.nulls and order.task != FEATURES:
            check_installed()
        target = load()
        doctor = _doctor(target)
        return _Build(order, target, doctor, load_rounded, report, encoder).run()


@contextmanager
def _own_place(order: Order) -> Iterator[Order]:
    """The order; of several processes all but the first write to a place that is thrown away."""
    if team().first:
        yield order
        return
    with TemporaryDirectory() as place:
        yield replace(order, out=Path(place) / "suite" / order.out.name, work=Path(place) / "work")


def builder_of(task: str) -> ModuleType:
    """The module that measures a task.

    Raises UsageError: the task cannot be built.
    """
    if task not in BUILDERS:
        raise UsageError(f"task {task!r} cannot be built")
    return import_module(BUILDERS[task], __package__)


@dataclass(slots=True)
class _Build:
    """A build under way, with what was measured so far by split."""

    order: Order
    target: Any
    doctor: Mapping[str, str]
    load_rounded: Callable[[], Any]
    report: Report
    encoder: Callable[[], Embed] | None
    counts: dict[str, Any] = field(default_factory=dict)
    statistics: dict[str, Any] = field(default_factory=dict)
    stability: dict[str, Any] = field(default_factory=dict)
    nulls: dict[str, Any] = field(default_factory=dict)
    misses: list[str] = field(default_factory=list)  # bars that are missed
    extra: dict[str, Any] = field(default_factory=dict)  # other fields of the manifest

    @property
    def folder(self) -> Path:
        """What gets the files until they are whole."""
        return self.order.out.with_name(self.order.out.name + ".partial")

    def run(self) -> dict[str, Any]:
        order = self.order
        shutil.rmtree(self.folder, ignore_errors=True)
        if order.task == FEATURES:
            self.measure_features()
        else:
            self.measure()
            self.write()
            if order.nulls:
                self.fit_nulls()
        if self.misses and not (order.draft or order.accept_misses):
            shutil.rmtree(self.folder)  # what is refused leaves nothing behind
            raise NotFrozenError(
                f"not frozen, bars missed: {'; '.join(self.misses)}", statistics=self.statistics
            )
        manifest = self.write()
        try:
            self.folder.rename(order.out)
        except OSError as error:
            raise write_error(order.out, error) from error
        return manifest

    def write(self) -> dict[str, Any]:
        """Write the manifest with what is known so far."""
        order, task = self.order, get_task(self.order.task)
        validation = self.folder / "validation" / "queries.jsonl"
        return write_manifest(
            self.folder,
            {
                "suite": order.suite,
                "task": order.task,
                "version": task.version,
                "frozen": not self.misses or (order.accept_misses and not order.draft),
                "target": dict(order.target),
                "splits": self.counts,
                "mini": mini_ids(validation) if "validation" in self.counts else [],
                "prompt_sha256": task.prompt_sha256,
                "builder": {
                    "package": "introspect-bench",
                    "version": __version__,
                    "build": builder_of(order.task).BUILD,
                    "device": order.device,
                },
                "seed": order.seed,
                "doctor": self.doctor,
                "statistics": self.statistics,
                "stability": self.stability,
                "nulls": self.nulls,
                "bars_missed": [f"{miss}." for miss in self.misses],
                **self.extra,
            },
        )

    def fit_nulls(self) -> None:
        """Fit null models on train, or on the public suite's, and see which bars they break."""
        from ...benchmark.backends.interventions.calculator import Calculator, Places
        from ..nulls.run import MEASURED, missed_bars, suite_nulls

        order = self.order
        splits = [split for split in MEASURED if split in self.counts]
        self.nulls = suite_nulls(
            open_suite(self.folder),
            splits=splits,
            train=None if order.public is None else open_suite(order.public),
            target=Places(self.target),
            embed=None if self.encoder is None else self.encoder(),
            calculator=Calculator(self.target, CALCULATOR_ROWS, dealt=True),
        )
        for split in splits:
            missed = missed_bars(order.task, self.nulls[split])
            self.misses += [f"{split}: {miss}" for miss in missed]
            self.report(f"{split}: nulls measured", len(self.nulls[split]))

    def measure(self) -> None:
        """Measure and write every split."""
        order, build = self.order, builder_of(self.order.task)
        options: dict[str, Any] = {} if order.sizes is None else {"sizes": order.sizes}
        splits: Sequence[str] = SPLITS
        known: dict[str, Sequence[Sequence[Measured]]] = {}
        if order.public is not None:
            options["facts"] = RESERVE
            splits, known = ("test",), {"train": measured(open_suite(order.public), "train")}
        groups: dict[str, Sequence[Sequence[Measured]]] = {}
        for split in splits:
            if getattr(build, "KNOWS_TRAIN", False) and split != "train":
                options["known"] = (known | groups)["train"]
            job = SplitJob(
                target=self.target,
                split=split,
                seed=order.seed,
                work=order.work / split,
                report=lambda stage, n, split=split: self.report(f"{split}: {stage}", n),  # type: ignore[misc]
                rounded=self.load_rounded,
            )
            groups[split], flips = build.make_split(job, **options)
            if tried := flips.pop("tried", None):
                self.extra.setdefault("tried", {})[split] = tried
            if flips:
                self.stability[split] = flips
        if hasattr(build, "finish"):  # what depends on the training vectors
            finished = build.finish(known | groups)
            groups = {split: finished[split] for split in groups}
        headline = get_task(order.task).headline_kinds
        for split, own in groups.items():
            self.statistics[split] = describe_kinds(own, headline)
            sizes = order.sizes or build.SIZES
            name = split
            if order.public is not None and FRESH in sizes:
                name = FRESH
            misses = _misses(build, name, self.statistics[split], sizes)
            self.misses += [f"{split}: {miss}" for miss in misses]
            check_expressible(split, own)
            self.counts[split] = write_split(self.folder / split, order.task, own)

    def measure_features(self) -> None:
        """Measure and write the features of every split, and have them judged."""
        from ..feature_descriptions.build.suite import judge_features, judges_of, make_features
        from ..feature_descriptions.judge.quality import BARS

        order, seed, report = self.order, self.order.seed, self.report
        if order.folder is None:
            raise UsageError("features need the folder of the target's weights")
        found = make_features(
            self.target,
            order.folder,
            self.folder,
            work=order.work,
            seed=seed,
            report=report,
            sizes=order.sizes,
        )
        self.counts |= found.counts
        self.statistics |= found.statistics
        self.extra |= {"truth": "descriptions", "judges": judges_of(found)}
        self.write()
        more, self.nulls = judge_features(open_suite(self.folder), found, seed=seed, report=report)
        self.statistics |= more
        self.misses += missed(self.statistics, BARS)


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


def _misses(
    build: ModuleType, split: str, statistics: Mapping[str, Any], sizes: Mapping[str, Any]
) -> list[str]:
    """Bars that a split misses; a kind that its size names must be there to clear its own."""
    bars: tuple[Bar, ...] = build.BARS[split] + build.BARS_ALL
    found = missed(dict(statistics), bars)
    for kind, own in build.BARS_KIND.items():
        if kind in statistics["by_kind"]:
            found += [f"{kind} {miss}" for miss in missed(statistics["by_kind"][kind], own)]
        elif kind in sizes[split]:
            found.append(f"{kind} has no query")
    return found
