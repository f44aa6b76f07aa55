"""Makes a suite of features of context: measured, written, judged.

Owns the order of the last steps and what a suite says of itself; `build.py` measures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ....benchmark.backends.autoencoders.tokenized import TokenizedSettings
from ....benchmark.backends.models.embedding import fetch_embedder, load_embedder
from ....benchmark.errors import UsageError
from ....benchmark.files import write_jsonl_atomic
from ....benchmark.records import SPLITS
from ....benchmark.scoring.judged import EXACT
from ....benchmark.suite.suite import Suite
from ...nulls.descriptions import Row, description_nulls
from ..judge import quality
from ..judge.judges import KNOWN, Exact, exact_judge
from ..judge.slots import is_conjunction
from ..predicates.lexicon import shipped_lexicon
from ..task import NAME
from .build import Built, Sizes, build, shared_parts
from .draft import write_split
from .stages import folder_of
from .summary import describe_split, layer_quality

BUILD = 2
"""Version of what is measured; another one starts a build anew."""
SCORED = ("validation", "test")
"""Splits that descriptions are scored on."""

Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What was measured and written, and who judges it."""

    counts: Mapping[str, Mapping[str, int]]
    """Queries and groups by split."""
    statistics: Mapping[str, Any]
    """What the suite says of itself: by split, of its layers and of its text."""
    judge: Exact
    """The suite's judge."""
    readers: Mapping[str, quality.Reader]
    """Readers of one and of two tokens, by name."""


def make_features(
    target: Any,
    target_folder: Path,
    root: Path,
    *,
    work: Path,
    seed: int,
    report: Progress,
    sizes: Mapping[str, Any] | None = None,
) -> Made:
    """Measure features and write everything but the manifest.

    Args:
        target: the target model (`benchmark.backends.target_model.TargetModel`), float32.
        target_folder: where its weights are.
        root: folder of the suite.
        work: folder of the build; a killed one goes on.
        seed: decides all draws.
        report: progress callback.
        sizes: fields of `build.Sizes`; the suite's own if None.

    Raises:
        CheckFailedError: too few features fit, or the text is not parted.
        UsageError: an unknown size, or a folder belongs to another build.
        MissingPartError: network, a library or disk space is missing.
        IntegrityError: a file of a folder is damaged.
    """
    wanted = read_sizes(sizes)
    built = build(target, target_folder, work, seed=seed, report=report, sizes=wanted)
    counts = {split: write_split(root / split, NAME, built.splits[split]) for split in SPLITS}
    known = shared_parts(work, built.fitted, target.tokenizer).names
    names = {one.described.name for one in built.splits["train"]}
    known += tuple(sorted(filter(is_conjunction, names)))
    write_jsonl_atomic(root / KNOWN, [{"name": name} for name in known])
    report("features written", sum(row["queries"] for row in counts.values()))
    statistics: dict[str, Any] = {split: describe_split(root, split) for split in SPLITS}
    statistics["layers"] = {
        layer.name: layer_quality(work, layer, rows, built.fitted.ids, least_r=built.least_r)
        for layer, rows in zip(built.layers, built.described, strict=True)
    }
    statistics["text"] = {
        "fitted_windows": len(built.fitted),
        "scored_windows": len(built.scored),
        "least_r": built.least_r,
        "predicates_known": len(known),
    }
    return Made(
        counts=counts,
        statistics=statistics,
        judge=exact_judge(known, load_embedder(fetch_embedder()), target.tokenizer),
        readers=token_readers(built),
    )


def judge_features(
    suite: Suite, made: Made, *, seed: int, report: Progress
) -> tuple[dict[str, Any], dict[str, list[Row]]]:
    """Say what the judge makes of known texts, and what readers of tokens and nulls reach.

    Args:
        suite: what was written.
        made: who judges, and readers.
        seed: deals descriptions to other features.
        report: progress callback.

    Returns:
        Statistics, `readers` and `judge` by split, and nulls by split.

    Raises:
        UsageError: most features of a split mean the same.
        IntegrityError: a file is not what the manifest says.
    """
    found: dict[str, Any] = {"readers": {}, "judge": {}}
    judge = made.judge.judge
    for split in SCORED:
        features = quality.read_split(suite, split)
        found["readers"][split] = quality.measure_readers(features, judge, made.readers)
        found["judge"][split] = quality.measure_judge(features, judge, shipped_lexicon(), seed=seed)
        report(f"{split}: features judged", len(features.queries))
    return found, description_nulls(suite, judge, made.readers, splits=SCORED, seed=seed)


def judges_of(made: Made) -> dict[str, str]:
    """Return what a manifest says of judges."""
    return {EXACT: made.judge.id}


def token_readers(built: Built) -> dict[str, quality.Reader]:
    """Return readers of one and of two tokens: means of each feature on the fitted text."""
    by_name = {layer.name: layer.activations for layer in built.layers}
    latents = {
        one.qid(NAME): (folder_of(one.layer, plain=one.kind == "token"), one.described.feature)
        for split in SCORED
        for one in built.splits[split]
    }

    def activations(qid: str) -> npt.NDArray[np.float32]:
        name, latent = latents[qid]
        column = by_name[name][:, [latent]].todense()
        return np.asarray(column, dtype=np.float32).ravel()

    ids = built.fitted.ids
    return {
        "token_reader": quality.TableReader(ids, activations, tokens=1),
        "bigram_reader": quality.TableReader(ids, activations, tokens=2),
    }


def read_sizes(sizes: Mapping[str, Any] | None) -> Sizes:
    """Return sizes that were given by name; `training` is a mapping of its own.

    Raises:
        UsageError: one is unknown.
    """
    given = dict(sizes or {})
    known = sorted(field.name for field in fields(Sizes))
    for name in given:
        if name not in known:
            raise UsageError(f"unknown size {name!r}: choose from {', '.join(known)}")
    if "training" in given:
        given["training"] = TokenizedSettings(**given["training"])
    return Sizes(**given)
