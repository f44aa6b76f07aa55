"""Builds features of context from a target: text, tables, autoencoders, descriptions, windows.

Owns the order of the work and its sizes. Descriptions are found on one half of the fitted text and
kept by the other; windows of validation and test are of other text, which neither fitted nor chose
anything. Every long stage keeps what it made in the work folder (`stages.py`), so a killed build
goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ....benchmark.backends.autoencoders.tokenized import TokenizedSettings, input_embeddings
from ....benchmark.errors import CheckFailedError
from ....benchmark.files import read_jsonl, write_jsonl_atomic
from ..judge.slots import Parts, make_parts
from ..predicates.lexicon import shipped_lexicon
from ..windows import Windows, bos_id, halves
from . import stages
from .assemble import Layer, Side, candidates, records
from .draft import ContextFeature
from .find import Described, describe
from .splits import Kind, draw
from .text import check_disjoint, fitted_text, scored_text

Ids = npt.NDArray[np.int32]
Report = Callable[[str, int], None]

DRAWN: Mapping[str, Mapping[Kind, int]] = {
    "test": {"bigram": 400, "context-token": 200, "token": 100},
    "validation": {"bigram": 120, "context-token": 60, "token": 20},
}
"""Features of each kind in the splits that are drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured."""

    layers: tuple[int, ...] = (6, 9, 12, 15, 18, 24)
    """0-based decoder layers, one autoencoder of what the token table leaves for each."""
    plain: tuple[int, ...] = (12, 18)
    """Layers of these with an autoencoder of whole residuals besides, for kind `token`."""
    fitted_batches: int = 48
    """Batches of sampled text that tables, autoencoders and descriptions are made on."""
    scored_batches: int = 48
    """Further ones, for the windows that are scored."""
    training: TokenizedSettings = field(default_factory=TokenizedSettings)
    """How autoencoders are trained."""
    least_r: tuple[float, ...] = (0.5, 0.4)
    """Least held-out correlation of a description; the next one if too few features have it."""
    drawn: Mapping[str, Mapping[Kind, int]] = field(default_factory=lambda: DRAWN)
    """Features of each kind in the splits that are drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What was measured."""

    splits: Mapping[str, Sequence[ContextFeature]]
    """Features by split."""
    layers: Sequence[Layer]
    """What was fitted at each layer."""
    described: Sequence[Sequence[Described]]
    """Descriptions of each one's latents."""
    fitted: Windows
    """The text that everything was made on."""
    scored: Ids
    """The text that validation and test are scored on, (n_windows, 32)."""
    least_r: float
    """Least held-out correlation of a description that was kept."""


def build(
    target: Any,
    target_folder: Path,
    work: Path,
    *,
    seed: int,
    report: Report,
    sizes: Sizes | None = None,
) -> Built:
    """Measure everything, or go on where a killed build was.

    Args:
        target: the target model, float32.
        target_folder: where its weights are.
        work: folder of the build.
        seed: decides all draws.
        report: progress callback.
        sizes: how much; the suite's own if None.

    Raises:
        CheckFailedError: too few features fit, or windows are both fitted and scored.
        MissingPartError: sparsify or disk space is missing.
        IntegrityError: a file of the work folder is damaged.
    """
    sizes = sizes or Sizes()
    fitted = fitted_text(
        target_folder, work, seed=seed, report=report, batches=range(sizes.fitted_batches)
    )
    layers, described = fit(target, fitted, work, seed=seed, report=report, sizes=sizes)
    text = scored_text(
        target_folder,
        work,
        fitted,
        seed=seed,
        report=report,
        batches=range(sizes.fitted_batches, sizes.fitted_batches + sizes.scored_batches),
    )
    weights = {one.name: (one.number, one.table, one.weights) for one in layers}
    scored = stages.scored_activations(
        target, text, work, bos=bos_id(target.tokenizer), layers=weights, report=report
    )
    sides = {one.name: Side(text, scored[one.name]) for one in layers}
    own = {one.name: Side(fitted.ids, one.activations) for one in layers}
    check_disjoint(fitted.ids, text)
    for least_r in sizes.least_r:
        found = candidates(layers, described, sides, least_r=least_r, seed=seed)
        try:
            splits = draw(found, sizes.drawn, seed=seed, least_r=least_r)
            break
        except CheckFailedError:
            if least_r == sizes.least_r[-1]:
                raise
    return Built(
        splits=records(found, splits, layers, fitted=own, scored=sides, seed=seed),
        layers=layers,
        described=described,
        fitted=fitted,
        scored=text,
        least_r=least_r,
    )


def fit(
    target: Any, fitted: Windows, work: Path, *, seed: int, report: Report, sizes: Sizes
) -> tuple[list[Layer], list[Sequence[Described]]]:
    """Everything that is made on the fitted text: layers, and descriptions of their latents.

    Raises:
        MissingPartError: sparsify or disk space is missing.
        IntegrityError: a file of the work folder is damaged.
    """
    ids, bos = fitted.ids, bos_id(target.tokenizer)
    if not stages.residuals_done(work, len(ids)):
        stages.read_residuals(target, ids, work, bos=bos, layers=sizes.layers, report=report)
    embeddings = input_embeddings(target)
    parts = shared_parts(work, fitted, target.tokenizer)
    layers, described = [], []
    wanted = [(number, False) for number in sizes.layers] + [(n, True) for n in sizes.plain]
    for number, plain in wanted:
        layer = fitted_layer(
            work, number, ids, embeddings, plain=plain, settings=sizes.training, seed=seed
        )
        report("layers fitted", 1)
        layers.append(layer)
        described.append(described_layer(work, layer, parts, fitted, report=report))
    return layers, described


def fitted_layer(
    work: Path,
    number: int,
    ids: Ids,
    embeddings: npt.NDArray[np.float32],
    *,
    plain: bool,
    settings: TokenizedSettings,
    seed: int,
) -> Layer:
    """Table, autoencoder and activations of one layer on the fitted text."""
    tokens = ids.ravel()
    table, share = stages.token_table(work, number, tokens, embeddings, plain=plain)
    weights = stages.autoencoder(
        work, number, tokens, table, settings=settings, seed=seed, plain=plain
    )
    return Layer(
        number=number,
        plain=plain,
        table=table,
        share=share,
        weights=weights,
        activations=stages.fitted_activations(work, number, tokens, table, weights, plain=plain),
    )


def shared_parts(work: Path, fitted: Windows, tokenizer: Any) -> Parts:
    """Predicates on the fitted text, kept on disk."""
    path, names_path = work / "parts.npz", work / "parts.jsonl"
    if not names_path.is_file():
        made = make_parts(fitted.ids, halves(fitted), tokenizer, shipped_lexicon())
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
    work: Path, layer: Layer, parts: Parts, fitted: Windows, *, report: Report
) -> Sequence[Described]:
    """Descriptions of a layer's latents, kept on disk."""
    path = work / layer.name / "described.jsonl"
    if not path.is_file():
        found = describe(
            layer.activations,
            parts,
            fitted.ids,
            halves(fitted),
            report=lambda _done: report("latents searched", 64),
        )
        write_jsonl_atomic(path, [_row(one) for one in found])
    return [_described(row) for _, row in read_jsonl(path)]


def _row(one: Described) -> dict[str, Any]:
    """Fields of a description; JSON has no NaN, so what is not known is null."""
    return {name: None if value != value else value for name, value in asdict(one).items()}


def _described(row: Mapping[str, Any]) -> Described:
    known: dict[str, Any] = {name: nan if value is None else value for name, value in row.items()}
    return Described(**known)
