"""From described features to records: windows, activations, wordings and splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ....benchmark.errors import CheckFailedError
from ..judge.conjunctions import wordings_of
from ..windows import Floats
from .draft import ContextFeature, Definition
from .matched import ScoredWindows, Side, strong_level
from .search import Described
from .splits import FeatureCandidate, Kind, kept_as, settled, stored
from .stages import folder_of
from .table import TokenTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What was fitted at one layer."""

    number: int  # 0-based decoder layer
    plain: bool = False  # whether its table takes off nothing but the mean
    table: TokenTable
    share: float  # share of the variance that the table holds
    weights: dict[str, Floats]  # of the autoencoder, with thresholds
    activations: sparse.csc_matrix  # on the fitted text, (n_windows * 32, latents)

    @property
    def name(self) -> str:
        """Name of its folder."""
        return folder_of(self.number, plain=self.plain)

    def level(self, latent: int) -> float:
        """Activation from which a latent is strong, by the fitted text."""
        low, high = self.activations.indptr[latent : latent + 2]
        return strong_level(self.activations.data[low:high].astype(np.float32))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chosen:
    """A feature of a split with its windows."""

    one: FeatureCandidate
    kind: Kind
    layer: Layer
    side: Side
    windows: ScoredWindows


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
        side = sides[layer.name]
        for one in rows:
            kinds = kept_as(one, plain=layer.plain, least_r=least_r)
            if not kinds:
                continue
            level = layer.level(one.feature)
            windows: dict[Kind, bool] = {
                kind: side.scored(one.feature, kind, level=level, seed=seed) is not None
                for kind in kinds
            }
            found.append(
                FeatureCandidate(
                    layer=layer.number,
                    direction=layer.weights["directions"][one.feature],
                    described=one,
                    windows=windows,
                    plain=layer.plain,
                )
            )
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
    chosen: dict[str, list[_Chosen]] = {}
    for split, rows in splits.items():
        chosen[split] = []
        for place, kind in rows:
            one = found[place]
            layer = by_name[folder_of(one.layer, plain=one.plain)]
            side = (fitted if split == "train" else scored)[layer.name]
            latent = one.described.feature
            windows = side.scored(latent, kind, level=layer.level(latent), seed=seed)
            if windows is not None:
                chosen[split].append(
                    _Chosen(one=one, kind=kind, layer=layer, side=side, windows=windows)
                )
    drawn = [row.one for split, rows in chosen.items() if split != "train" for row in rows]
    kept = settled([row.one for row in chosen["train"]], drawn)
    if not kept:
        raise CheckFailedError("no training feature is left that gives no drawn one away")
    chosen["train"] = [chosen["train"][place] for place in kept]
    train = stored([row.one for row in chosen["train"]])
    result: dict[str, list[ContextFeature]] = {}
    for split, members in chosen.items():
        result[split] = []
        for row in members:
            cosines = np.sort(train @ stored([row.one])[0])
            near = float(cosines[-2] if split == "train" and len(cosines) > 1 else cosines[-1])
            result[split].append(_record(row, near))
    return result


def _record(row: _Chosen, near: float) -> ContextFeature:
    one, windows, table, weights = row.one, row.windows, row.layer.table, row.layer.weights
    latent = one.described.feature
    ids = row.side.ids[windows.windows]
    bias = weights["encoder_bias"] - weights["encoder"] @ weights["center"]
    encoder = weights["encoder"][latent] * weights["gain"][latent]
    return ContextFeature(
        kind=row.kind,
        layer=one.layer,
        group=one.key,
        vector=one.direction.astype(np.float16),
        descriptions=wordings_of(one.described.name),
        described=one.described,
        nearest_train=near,
        ids=ids,
        activations=row.side.values(latent, windows.windows).astype(np.float16),
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
