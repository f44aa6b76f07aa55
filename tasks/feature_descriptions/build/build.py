"""Builds features of context from a target: text, tables, autoencoders, descriptions, windows.

The order of the work and its sizes. Descriptions are found on one half of the fitted text and kept
by the other; windows of validation and test are of other text, which neither fitted nor chose
anything. Every long stage keeps what it made in the work folder (`stages.py`), so a killed build
goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from ....benchmark.backends.autoencoder import TokenizedSettings, input_embeddings
from ....benchmark.errors import CheckFailedError
from ....benchmark.files import read_jsonl, write_jsonl_atomic
from ...build.order import Report
from ..judge.conjunctions import Parts, make_parts, wordings_of
from ..windows import Ids, Windows, bos_id, halves
from .draft import ContextFeature, Definition
from .matched import Side
from .sampling import check_disjoint, fitted_text, scored_text
from .search import Described, describe
from .splits import FeatureCandidate, Kind, draw, kept_as, settled, stored
from .stages import Layer, fit_layer, folder_of, read_residuals, scored_activations

DRAWN: Mapping[str, Mapping[Kind, int]] = {
    "test": {"bigram": 400, "context-token": 200, "token": 100},
    "validation": {"bigram": 120, "context-token": 60, "token": 20},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured."""

    layers: tuple[int, ...] = (6, 9, 12, 15, 18, 24)
    """0-based decoder layers, one autoencoder of what the token table leaves for each."""
    plain: tuple[int, ...] = (12, 18)
    """Layers of these with an autoencoder of whole residuals besides, for kind `token`."""
    fitted_batches: int = 48
    """Batches of sampled text that tables, autoencoders and descriptions are made on."""
    scored_batches: int = 48  # further ones, for the windows that are scored
    training: TokenizedSettings = field(default_factory=TokenizedSettings)
    least_r: tuple[float, ...] = (0.5, 0.4)
    """Least held-out correlation of a description; the next one if too few features have it."""
    drawn: Mapping[str, Mapping[Kind, int]] = field(default_factory=lambda: DRAWN)
    """Features of each kind in the splits that are drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What was measured."""

    splits: Mapping[str, Sequence[ContextFeature]]
    layers: Sequence[Layer]
    described: Sequence[Sequence[Described]]  # of each layer's latents
    fitted: Windows  # the text that everything was made on
    scored: Ids  # the text that validation and test are scored on, (n_windows, 32)
    least_r: float  # least held-out correlation of a description that was kept


def build(
    target: Any, target_folder: Path, work: Path, *, seed: int, report: Report, sizes: Sizes
) -> Built:
    """Measure everything, or go on where a killed build was.

    The target is the model in float32, with the folder of its weights; the seed decides all draws.
    `CheckFailedError`: too few features fit, or windows are both fitted and scored.
    """
    middle = sizes.fitted_batches
    batches = range(middle), range(middle, middle + sizes.scored_batches)
    fitted = fitted_text(target_folder, work, seed=seed, report=report, batches=batches[0])
    layers, described = fit(target, fitted, work, seed=seed, report=report, sizes=sizes)
    text = scored_text(target_folder, work, fitted, seed=seed, report=report, batches=batches[1])
    check_disjoint(fitted.ids, text)
    scored = scored_activations(
        target, text, work, bos=bos_id(target.tokenizer), layers=layers, report=report
    )
    sides = {name: Side(text, activations) for name, activations in scored.items()}
    own = {one.name: Side(fitted.ids, one.activations) for one in layers}
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
    """Everything that is made on the fitted text: layers, and descriptions of their latents."""
    ids, tokens, bos = fitted.ids, fitted.ids.ravel(), bos_id(target.tokenizer)
    read_residuals(target, ids, work, bos=bos, layers=sizes.layers, report=report)
    embeddings = input_embeddings(target)
    parts = shared_parts(work, fitted, target.tokenizer)
    layers, described = [], []
    for number, plain in [(n, False) for n in sizes.layers] + [(n, True) for n in sizes.plain]:
        layer = fit_layer(
            work, number, tokens, embeddings, settings=sizes.training, seed=seed, plain=plain
        )
        report("layers fitted", 1)
        layers.append(layer)
        described.append(described_layer(work, layer, parts, fitted, report=report))
    return layers, described


def shared_parts(work: Path, fitted: Windows, tokenizer: Any) -> Parts:
    """Predicates on the fitted text, kept on disk."""
    path, names_path = work / "parts.npz", work / "parts.jsonl"
    if not names_path.is_file():
        made = make_parts(fitted.ids, halves(fitted), tokenizer)
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
    """Descriptions of a layer's latents, kept on disk, where NaN is null."""
    path = work / layer.name / "described.jsonl"
    if not path.is_file():
        found = describe(
            layer.activations,
            parts,
            fitted.ids,
            halves(fitted),
            report=lambda _done: report("latents searched", 64),
        )
        rows = [asdict(one).items() for one in found]
        known = [{name: None if value != value else value for name, value in row} for row in rows]
        write_jsonl_atomic(path, known)
    read: list[dict[str, Any]] = [row for _, row in read_jsonl(path)]
    for row in read:
        row |= {name: nan for name, value in row.items() if value is None}
    return [Described(**row) for row in read]


def candidates(
    layers: Sequence[Layer],
    described: Sequence[Sequence[Described]],
    sides: Mapping[str, Side],
    *,
    least_r: float,
    seed: int,
) -> list[FeatureCandidate]:
    """Return the features that are kept, and whether there are windows to score each on."""
    found = []
    for layer, rows in zip(layers, described, strict=True):
        for one in rows:
            if kinds := kept_as(one, plain=layer.plain, least_r=least_r):
                scored = sides[layer.name].scored
                level = layer.level(one.feature)
                windows: dict[Kind, bool] = {
                    kind: scored(one.feature, kind, level=level, seed=seed) is not None
                    for kind in kinds
                }
                candidate = FeatureCandidate(
                    layer=layer.number,
                    direction=layer.weights["directions"][one.feature],
                    described=one,
                    windows=windows,
                    plain=layer.plain,
                )
                found.append(candidate)
    return found


def records(
    found: Sequence[FeatureCandidate],
    splits: Mapping[str, Sequence[tuple[int, Kind]]],
    layers: Sequence[Layer],
    *,
    fitted: Mapping[str, Side],
    scored: Mapping[str, Side],
    seed: int,
) -> dict[str, list[ContextFeature]]:
    """Put features into the form that is written; training ones have windows of fitted text.

    A training feature without enough windows there is left out, as is one that is the nearest one
    of a drawn feature and has the same description.
    """
    by_name = {layer.name: layer for layer in layers}
    chosen: dict[str, list[tuple[FeatureCandidate, ContextFeature]]] = {}
    for split, rows in splits.items():
        chosen[split] = []
        for place, kind in rows:
            one = found[place]
            layer = by_name[folder_of(one.layer, plain=one.plain)]
            side = (fitted if split == "train" else scored)[layer.name]
            record = _record(one, kind, layer, side, seed)
            if record is not None:
                chosen[split].append((one, record))
    drawn = [one for split, rows in chosen.items() if split != "train" for one, _ in rows]
    kept = settled([one for one, _ in chosen["train"]], drawn)
    if not kept:
        raise CheckFailedError("no training feature is left that gives no drawn one away")
    chosen["train"] = [chosen["train"][place] for place in kept]
    train = stored([one for one, _ in chosen["train"]])
    result: dict[str, list[ContextFeature]] = {}
    for split, members in chosen.items():
        result[split] = []
        for one, record in members:
            cosines = np.sort(train @ stored([one])[0])
            near = cosines[-2] if split == "train" and len(cosines) > 1 else cosines[-1]
            result[split].append(replace(record, nearest_train=float(near)))
    return result


def _record(
    one: FeatureCandidate, kind: Kind, layer: Layer, side: Side, seed: int
) -> ContextFeature | None:
    """A feature but for its nearest training vector; None without enough windows."""
    latent, table, weights = one.described.feature, layer.table, layer.weights
    windows = side.scored(latent, kind, level=layer.level(latent), seed=seed)
    if windows is None:
        return None
    ids = side.ids[windows.windows]
    bias = weights["encoder_bias"] - weights["encoder"] @ weights["center"]
    encoder = weights["encoder"][latent] * weights["gain"][latent]
    return ContextFeature(
        kind=kind,
        layer=one.layer,
        group=one.key,
        vector=one.direction.astype(np.float16),
        descriptions=wordings_of(one.described.name),
        described=one.described,
        nearest_train=nan,
        ids=ids,
        activations=side.values(latent, windows.windows).astype(np.float16),
        marks=windows.marks,
        strong=windows.strong,
        pair_group=windows.group,
        weights=windows.weights,
        definition=Definition(
            mean=table.mean,
            cap=table.cap,
            encoder=encoder,
            bias=float(bias[latent] * weights["gain"][latent]),
            threshold=float(weights["threshold"][latent]),
            token=(table.rows[ids.ravel()] @ encoder).reshape(ids.shape).astype(np.float32),
        ),
    )
