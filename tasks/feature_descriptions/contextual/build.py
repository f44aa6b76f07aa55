"""Builds features of context from a target: text, tables, autoencoders, descriptions, windows.

Owns the order of the work and its sizes. Descriptions are found on one half of the fitted text and
kept by the other; windows of validation and test are of other text, which neither fitted nor chose
anything. Every long stage keeps what it made in the work folder (`stages.py`), so a killed build
goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from introspect_bench.benchmark.backends.tokenized import TokenizedSettings, input_embeddings
from introspect_bench.benchmark.files import read_jsonl, write_jsonl_atomic
from introspect_bench.tasks.feature_descriptions.contextual import stages
from introspect_bench.tasks.feature_descriptions.contextual.assemble import (
    Layer,
    Side,
    candidates,
    records,
)
from introspect_bench.tasks.feature_descriptions.contextual.draft import ContextFeature
from introspect_bench.tasks.feature_descriptions.contextual.find import Described, describe
from introspect_bench.tasks.feature_descriptions.contextual.library import Parts, make_parts
from introspect_bench.tasks.feature_descriptions.contextual.splits import Kind, draw
from introspect_bench.tasks.feature_descriptions.corpus import open_sampler
from introspect_bench.tasks.feature_descriptions.predicates.lexicon import shipped_lexicon
from introspect_bench.tasks.feature_descriptions.sampling import Settings
from introspect_bench.tasks.feature_descriptions.shipped_text import FOLDER, unpack_batches
from introspect_bench.tasks.feature_descriptions.windows import (
    Windows,
    bos_id,
    concatenate,
    cut_documents,
    halves,
    load_windows,
    save_windows,
    without_duplicates,
    word_starts,
)

Ids = npt.NDArray[np.int32]
Report = Callable[[str, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured."""

    layers: tuple[int, ...] = (6, 9, 12, 15, 18, 24)
    """0-based decoder layers, one autoencoder each."""
    fitted_batches: int = 48
    """Batches of sampled text that tables, autoencoders and descriptions are made on."""
    scored_batches: int = 48
    """Further ones, for the windows that are scored."""
    training: TokenizedSettings = field(default_factory=TokenizedSettings)
    """How autoencoders are trained."""
    least_r: float = 0.5
    """Least held-out correlation of a description."""
    drawn: Mapping[str, Mapping[Kind, int]] = field(
        default_factory=lambda: {
            "test": {"bigram": 400, "context-token": 200},
            "validation": {"bigram": 130, "context-token": 70},
        }
    )
    """Features of each kind in the splits that are drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """The two texts, no window in both."""

    fitted: Windows
    """What everything is made on."""
    scored: Ids
    """What is scored on alone, (n_windows, 32)."""
    searched: npt.NDArray[np.bool_]
    """Windows of the fitted text that descriptions are searched on."""


def build(
    target: Any,
    target_folder: Path,
    work: Path,
    *,
    seed: int,
    report: Report,
    sizes: Sizes | None = None,
) -> dict[str, list[ContextFeature]]:
    """Measure everything, or go on where a killed build was.

    Args:
        target: the target model, float32.
        target_folder: where its weights are.
        work: folder of the build.
        seed: decides all draws.
        report: progress callback.
        sizes: how much; the suite's own if None.

    Returns:
        Features by split.

    Raises:
        CheckFailedError: too few features fit.
        MissingPartError: sparsify or disk space is missing.
        IntegrityError: a file of the work folder is damaged.
    """
    sizes = sizes or Sizes()
    text = make_text(target_folder, work, seed=seed, report=report, sizes=sizes)
    bos = bos_id(target.tokenizer)
    ids = text.fitted.ids
    if not stages.residuals_done(work, len(ids)):
        stages.read_residuals(target, ids, work, bos=bos, layers=sizes.layers, report=report)
    embeddings = input_embeddings(target)
    layers = [
        fitted_layer(work, number, ids, embeddings, sizes=sizes, seed=seed, report=report)
        for number in sizes.layers
    ]
    parts = shared_parts(work, text, target.tokenizer)
    described = [described_layer(work, one, parts, text, report=report) for one in layers]
    weights = {one.number: (one.table, one.weights) for one in layers}
    scored = stages.scored_activations(
        target, text.scored, work, bos=bos, layers=weights, report=report
    )
    sides = {one.number: Side(text.scored, scored[one.number]) for one in layers}
    found = candidates(layers, described, sides, least_r=sizes.least_r, seed=seed)
    splits = draw(found, sizes.drawn, seed=seed, least_r=sizes.least_r)
    fitted = {one.number: Side(ids, one.activations) for one in layers}
    return records(found, splits, layers, fitted=fitted, scored=sides, seed=seed)


def make_text(target_folder: Path, work: Path, *, seed: int, report: Report, sizes: Sizes) -> Text:
    """Sample both texts, or read them from the work folder and the package's archive.

    Raises:
        MissingPartError: weights or disk space are missing.
    """
    paths = [work / f"{name}.windows.safetensors" for name in ("fitted", "scored")]
    if not all(path.is_file() for path in paths):
        for archive in sorted(FOLDER.glob("*.gz")):  # batches of another target are never used
            unpack_batches(archive, work / "sampled")
        sampler = open_sampler(target_folder, work, settings=Settings(seed=seed))
        starts = word_starts(sampler.target.tokenizer)
        parts = []
        for number in range(sizes.fitted_batches + sizes.scored_batches):
            documents = sampler.batch(number)
            parts.append(cut_documents(documents, sampler.target.tokenizer, starts=starts))
            report("sampled tokens", parts[-1].ids.size)
        fitted = without_duplicates(concatenate(parts[: sizes.fitted_batches]))
        whole = without_duplicates(concatenate([fitted, *parts[sizes.fitted_batches :]]))
        save_windows(paths[0], fitted)
        save_windows(paths[1], whole.take(np.arange(len(fitted), len(whole))))
    fitted, scored = (load_windows(path) for path in paths)
    return Text(fitted=fitted, scored=scored.ids, searched=halves(fitted))


def fitted_layer(
    work: Path,
    number: int,
    ids: Ids,
    embeddings: npt.NDArray[np.float32],
    *,
    sizes: Sizes,
    seed: int,
    report: Report,
) -> Layer:
    """Table, autoencoder and activations of one layer on the fitted text."""
    tokens = ids.ravel()
    table, share = stages.token_table(work, number, tokens, embeddings)
    weights = stages.autoencoder(work, number, tokens, table, settings=sizes.training, seed=seed)
    activations = stages.fitted_activations(work, number, tokens, table, weights)
    report("layers fitted", 1)
    return Layer(number=number, table=table, share=share, weights=weights, activations=activations)


def shared_parts(work: Path, text: Text, tokenizer: Any) -> Parts:
    """Predicates on the fitted text, kept on disk."""
    path, names_path = work / "parts.npz", work / "parts.jsonl"
    if not names_path.is_file():
        made = make_parts(text.fitted.ids, text.searched, tokenizer, shipped_lexicon())
        sparse.save_npz(path, made.values)
        rows = zip(made.names, made.slots.tolist(), strict=True)
        write_jsonl_atomic(names_path, [{"name": name, "slot": slot} for name, slot in rows])
    rows_read = [row for _, row in read_jsonl(names_path)]
    return Parts(
        names=tuple(row["name"] for row in rows_read),
        slots=np.array([row["slot"] for row in rows_read], dtype=np.int64),
        values=sparse.csc_matrix(sparse.load_npz(path)),
    )


def described_layer(
    work: Path, layer: Layer, parts: Parts, text: Text, *, report: Report
) -> Sequence[Described]:
    """Descriptions of a layer's latents, kept on disk."""
    path = work / f"layers.{layer.number}" / "described.jsonl"
    if not path.is_file():
        found = describe(
            layer.activations,
            parts,
            text.fitted.ids,
            text.searched,
            report=lambda _done: report("latents searched", 64),
        )
        # JSON has no NaN
        write_jsonl_atomic(path, [{"described": json.dumps(asdict(one))} for one in found])
    return [Described(**json.loads(row["described"])) for _, row in read_jsonl(path)]
