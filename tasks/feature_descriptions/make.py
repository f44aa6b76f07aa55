"""Makes a suite of features: measured, with a simulator of its own, and judged references.

Owns the order of the last steps and how a simulator is trained on what was measured. Measuring is
`build.py`, what a suite says of itself `finish.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from introspect_bench.benchmark.backends.embedding import fetch_embedder, load_embedder
from introspect_bench.benchmark.backends.simulator import load_simulator
from introspect_bench.benchmark.backends.simulator_lessons import Lessons, TrainingSettings
from introspect_bench.benchmark.backends.simulator_training import Base, train_simulator
from introspect_bench.benchmark.errors import CheckFailedError, UsageError
from introspect_bench.benchmark.freeze_features import MeasuredFeature, write_feature_split
from introspect_bench.benchmark.records import SPLITS
from introspect_bench.tasks.feature_descriptions import finish
from introspect_bench.tasks.feature_descriptions.build import Sizes, build
from introspect_bench.tasks.feature_descriptions.judges import Embedding, Simulating
from introspect_bench.tasks.feature_descriptions.predicates.lexicon import Lexicon, shipped_lexicon
from introspect_bench.tasks.feature_descriptions.predicates.phrases import reversed_phrases
from introspect_bench.tasks.feature_descriptions.prose import SOURCES
from introspect_bench.tasks.feature_descriptions.task import NAME

LESSONS_VALIDATED = 80
"""Validation features whose loss is reported after training."""

Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What was measured and written."""

    counts: Mapping[str, Mapping[str, int]]
    """Queries and groups by split."""
    statistics: Mapping[str, Any]
    """What the suite says of itself, by split, and of the search, the text and the simulator."""
    judges: Mapping[str, str]
    """Ids of the suite's judges."""


def make_features(
    target: Any,
    target_folder: Path,
    root: Path,
    *,
    name: str,
    base: str,
    simulators: Path,
    work: Path,
    seed: int,
    report: Progress,
    sizes: Mapping[str, Any] | None = None,
) -> Made:
    """Measure features, train their simulator and write everything but the manifest.

    Args:
        target: the target model (`benchmark.backends.target_model.TargetModel`), float32.
        target_folder: where its weights are.
        root: folder of the suite.
        name: what the simulator is called.
        base: name of the target, recorded with the simulator.
        simulators: gets the simulator as `NAME/`; it stays there while the suite is used.
        work: folder of the build; a killed one goes on.
        seed: decides all draws.
        report: progress callback.
        sizes: fields of `build.Sizes` and, as `sources`, files of prose; the suite's own if None.

    Raises:
        CheckFailedError: too few predicates or features, or the text is too short or too uniform.
        UsageError: an unknown size, or a folder belongs to another build.
        MissingPartError: network, a library or disk space is missing.
        IntegrityError: a file of a folder is damaged.
    """
    wanted, sources = _sizes(sizes)
    built = build(
        target,
        target_folder,
        work,
        seed=seed,
        report=report,
        sizes=wanted,
        sources=sources,
    )
    counts = {
        split: write_feature_split(root / split, NAME, built.splits[split]) for split in SPLITS
    }
    finish.write_known(root, built.searched)
    lexicon = shipped_lexicon()
    folder = train_simulator(
        Base(name=base, folder=target_folder),
        lessons(built.splits["train"], lexicon),
        settings_for(target.n_layers, wanted, seed=seed),
        simulators / name,
        name=name,
        validation=lessons(built.splits["validation"][:LESSONS_VALIDATED], lexicon),
        device=str(target.device),
        report=lambda _done, _total, _loss: report("steps of the simulator's training", 1),
    )
    simulator = load_simulator(folder, name=name, base=target_folder, device=str(target.device))
    embedder = load_embedder(fetch_embedder())
    finish.add_references(root, simulator, embedder, report)
    return Made(
        counts=counts,
        statistics={
            **{split: finish.describe_split(root / split) for split in SPLITS},
            "features": finish.describe_search(built.descriptions),
            "text": {
                "windows": len(built.text.ids),
                "tokens": int(built.text.ids.size),
                "predicates_searched": len(built.searched),
            },
            "simulator": finish.measure_quality(root / "test", simulator, lexicon, seed=seed),
        },
        judges={"simulator": Simulating(simulator).id, "embedding": Embedding(embedder).id},
    )


def lessons(features: Sequence[MeasuredFeature], lexicon: Lexicon) -> Lessons:
    """Turn features into what a simulator learns: own windows of both halves, and others'.

    Raises:
        CheckFailedError: a feature came without windows of others.
    """
    rows = []
    for one in features:
        if one.foreign_ids is None or one.foreign_activations is None:
            raise CheckFailedError("a feature has no windows of others to learn silence from")
        rows.append(
            (
                np.concatenate([one.ids, one.oracle_ids, one.foreign_ids]),
                np.concatenate([one.activations, one.oracle_activations, one.foreign_activations]),
            )
        )
    return Lessons(
        descriptions=tuple(one.descriptions for one in features),
        opposites=tuple(reversed_phrases(one.predicate, lexicon) for one in features),
        ids=np.stack([ids for ids, _ in rows]).astype(np.int32),
        activations=np.stack([values for _, values in rows]).astype(np.float32),
    )


def settings_for(n_layers: int, sizes: Sizes, *, seed: int) -> TrainingSettings:
    """Return how a simulator on a base of so many layers is trained."""
    depth = max(1, round(0.8 * n_layers))
    return TrainingSettings(
        epochs=sizes.simulator_epochs,
        batch=8,
        rows=4,
        windows=6,
        depth=depth,
        first_layer=min(depth - 1, round(0.27 * n_layers)),
        rank=16,
        rate=1e-3,
        bfloat16=sizes.simulator_bfloat16,
        seed=seed,
    )


def _sizes(given: Mapping[str, Any] | None) -> tuple[Sizes, Sequence[Any]]:
    values = dict(given or {})
    sources: Sequence[Any] = values.pop("sources", SOURCES)
    known = {field.name for field in fields(Sizes)}
    if unknown := sorted(values.keys() - known):
        raise UsageError(f"unknown size {unknown[0]!r}: choose from {', '.join(sorted(known))}")
    return Sizes(**values), sources
