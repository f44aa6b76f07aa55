"""Makes a suite of features of context: measured, written, judged.

The order of the last steps and what a suite says of itself; `build.py` measures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ....benchmark.backends.autoencoder import TokenizedSettings
from ....benchmark.backends.models.embedding import fetch_embedder, load_embedder
from ....benchmark.errors import UsageError
from ....benchmark.files import write_jsonl_atomic
from ....benchmark.records import SPLITS
from ....benchmark.scoring.judged import EXACT
from ....benchmark.suite.features import verify_split
from ....benchmark.suite.suite import Suite
from ...build.order import Report
from ...nulls.descriptions import Row, description_nulls
from ..judge import quality
from ..judge.conjunctions import is_conjunction
from ..judge.judges import KNOWN, Exact
from ..task import NAME
from .build import Built, Sizes, build, shared_parts
from .draft import describe_split, write_split
from .search import Described
from .splits import kept_as
from .stages import Layer, folder_of, load_residuals
from .table import capped

BUILD = 2  # version of what is measured; another one starts a build anew
SCORED = ("validation", "test")  # splits that descriptions are scored on
ROWS = 16_384  # tokens that explained variance is measured on, spread over the fitted text


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeSuite:
    """What was measured and written, and who judges it."""

    counts: Mapping[str, Mapping[str, int]]  # queries and groups by split
    statistics: Mapping[str, Any]  # of each split, of layers and of the text
    judge: Exact
    readers: Mapping[str, quality.Reader]  # of one and of two tokens, by name


def make_features(
    target: Any,
    target_folder: Path,
    root: Path,
    *,
    work: Path,
    seed: int,
    report: Report,
    sizes: Mapping[str, Any] | None = None,
) -> MadeSuite:
    """Measure features and write everything of a suite's folder but the manifest.

    The target is the model in float32, with the folder of its weights. A killed build goes on in
    its work folder. The seed decides all draws; sizes are fields of `build.Sizes`.
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
    return MadeSuite(
        counts=counts,
        statistics=statistics,
        judge=Exact(known, load_embedder(fetch_embedder()), target.tokenizer),
        readers=token_readers(built),
    )


def judge_features(
    suite: Suite, made: MadeSuite, *, seed: int, report: Report
) -> tuple[dict[str, Any], dict[str, list[Row]]]:
    """Say what the judge makes of known texts, and what readers of tokens and nulls reach.

    Returns statistics, `readers` and `judge` by split, and nulls by split. The seed deals
    descriptions to other features.
    """
    for split in SPLITS:
        verify_split(suite, split)
    found: dict[str, Any] = {"readers": {}, "judge": {}}
    judge = made.judge.judge
    for split in SCORED:
        features = quality.read_split(suite, split)
        found["readers"][split] = quality.measure_readers(features, judge, made.readers)
        found["judge"][split] = quality.measure_judge(features, judge, seed=seed)
        report(f"{split}: features judged", len(features.queries))
    return found, description_nulls(suite, judge, made.readers, splits=SCORED, seed=seed)


def judges_of(made: MadeSuite) -> dict[str, str]:
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


def layer_quality(
    work: Path,
    layer: Layer,
    described: Sequence[Described],
    ids: npt.NDArray[np.int32],
    *,
    least_r: float,
) -> dict[str, float]:
    """Measure a layer on the fitted text, (n_windows, 32).

    Returns `table_share` and `explained`: shares of the variance of centred and capped residuals
    that the token table holds, and that table and autoencoder hold together, with activations as
    they are used, 0 below the threshold; `l0`, latents active at a token; `dead`, the share of
    latents that are active nowhere; numbers of latents `described` and `kept`.
    """
    activations, weights = layer.activations, layer.weights
    rows = np.arange(0, ids.size, max(1, ids.size // ROWS))
    residuals, tokens = load_residuals(work, layer.number)[rows], ids.ravel()[rows]
    whole = capped(residuals, layer.table.mean, layer.table.cap)
    told = weights["center"] + activations.tocsr()[rows] @ weights["directions"]
    missing = layer.table.left(residuals, tokens) - told
    return {
        "table_share": round(layer.share, 6),
        "explained": round(1 - _power(missing) / _power(whole), 6),
        "l0": round(activations.nnz / ids.size, 4),
        "dead": round(float((np.diff(activations.indptr) == 0).mean()), 6),
        "described": len(described),
        "kept": sum(bool(kept_as(one, plain=layer.plain, least_r=least_r)) for one in described),
    }


def _power(values: npt.NDArray[np.floating]) -> float:
    return float(np.square(values, dtype=np.float64).sum())


def read_sizes(sizes: Mapping[str, Any] | None) -> Sizes:
    """Return sizes that were given by name; `training` is a mapping of its own."""
    given = dict(sizes or {})
    known = sorted(field.name for field in fields(Sizes))
    for name in given:
        if name not in known:
            raise UsageError(f"unknown size {name!r}: choose from {', '.join(known)}")
    if "training" in given:
        given["training"] = TokenizedSettings(**given["training"])
    return Sizes(**given)
