"""From described features to records: windows, activations, wordings and splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ....benchmark.errors import CheckFailedError
from ..judge.wording import wordings_of
from ..predicates.lexicon import shipped_lexicon
from ..windows import WINDOW
from .draft import ContextFeature, Definition
from .find import Described
from .matched import Index, bigram_keys, match, strong_level, token_keys
from .scored import Scored, choose, choose_random
from .splits import Candidate, Kind, kept_as, settled, stored
from .stages import folder_of
from .table import TokenTable

KEYS = {"bigram": bigram_keys, "context-token": token_keys}
"""What is equal in a pair of windows, by kind."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What was fitted at one layer."""

    number: int
    """0-based decoder layer."""
    plain: bool = False
    """Whether its table takes off nothing but the mean."""
    table: TokenTable
    """Its token table."""
    share: float
    """Share of the variance that the table holds."""
    weights: dict[str, Floats]
    """Of the autoencoder, with thresholds."""
    activations: sparse.csc_matrix
    """On the fitted text, (n_windows * 32, latents)."""

    @property
    def name(self) -> str:
        """Name of its folder."""
        return folder_of(self.number, plain=self.plain)


class Side:
    """A text with the activations of one layer's latents."""

    def __init__(self, ids: npt.NDArray[np.int32], activations: sparse.csc_matrix) -> None:
        """Bind windows (n_windows, 32) and activations (n_windows * 32, latents)."""
        self.ids, self.activations = ids, activations
        self._indices: dict[str, Index] = {}

    def scored(self, latent: int, kind: Kind, *, level: float | None, seed: int) -> Scored | None:
        """Choose windows of a latent, None if there are too few.

        Args:
            latent: the latent.
            kind: what is equal in a pair.
            level: activation from which it is strong; by its own largest ones here if None.
            seed: with the latent decides the draw.
        """
        low, high = self.activations.indptr[latent : latent + 2]
        order = np.argsort(self.activations.indices[low:high], kind="stable")
        rows = self.activations.indices[low:high][order].astype(np.int64)
        values = self.activations.data[low:high][order].astype(np.float32)
        least = strong_level(values) if level is None else level
        peaks = np.zeros(len(self.ids), dtype=np.float32)
        np.maximum.at(peaks, rows // WINDOW, values)
        rng = np.random.default_rng([seed, latent])
        if kind == "token":
            return choose_random(peaks, rng=rng)
        if kind not in self._indices:
            self._indices[kind] = Index(KEYS[kind](self.ids))
        return choose(match(self._indices[kind], rows, values, least), peaks, rng=rng)

    def values(self, latent: int, windows: npt.NDArray[np.int64]) -> Floats:
        """Activations of a latent on windows, float32 (n_windows, 32)."""
        column = np.asarray(self.activations[:, [latent]].todense(), dtype=np.float32)
        return column.reshape(-1, WINDOW)[windows]


def candidates(
    layers: Sequence[Layer],
    described: Sequence[Sequence[Described]],
    sides: Mapping[str, Side],
    *,
    least_r: float,
    seed: int,
) -> list[Candidate]:
    """Return the features that are kept, and whether there are windows to score each on.

    What is strong is decided by the fitted text.
    """
    found = []
    for layer, rows in zip(layers, described, strict=True):
        for one in rows:
            kinds = kept_as(one, plain=layer.plain, least_r=least_r)
            if kinds:
                level = level_of(layer, one.feature)
                side = sides[layer.name]
                windows: dict[Kind, bool] = {
                    kind: side.scored(one.feature, kind, level=level, seed=seed) is not None
                    for kind in kinds
                }
                found.append(
                    Candidate(
                        layer=layer.number,
                        direction=layer.weights["directions"][one.feature],
                        described=one,
                        windows=windows,
                        plain=layer.plain,
                    )
                )
    return found


def level_of(layer: Layer, latent: int) -> float:
    """Activation from which a latent is strong, by the fitted text."""
    low, high = layer.activations.indptr[latent : latent + 2]
    return strong_level(layer.activations.data[low:high].astype(np.float32))


def records(
    found: Sequence[Candidate],
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

    Raises:
        CheckFailedError: no training feature is left.
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
            windows = side.scored(latent, kind, level=level_of(layer, latent), seed=seed)
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
            result[split].append(_record(row.one, row.kind, row.layer, row.side, row.windows, near))
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chosen:
    """A feature of a split with its windows."""

    one: Candidate
    kind: Kind
    layer: Layer
    side: Side
    windows: Scored


def _record(
    one: Candidate, kind: Kind, layer: Layer, side: Side, windows: Scored, near: float
) -> ContextFeature:
    latent = one.described.feature
    ids = side.ids[windows.windows]
    weights = layer.weights
    bias = weights["encoder_bias"] - weights["encoder"] @ weights["center"]
    row = weights["encoder"][latent] * weights["gain"][latent]
    return ContextFeature(
        kind=kind,
        layer=one.layer,
        group=one.key,
        vector=one.direction.astype(np.float16),
        descriptions=wordings_of(one.described.name, shipped_lexicon()),
        described=one.described,
        nearest_train=near,
        ids=ids,
        activations=side.values(latent, windows.windows).astype(np.float16),
        marks=windows.marks,
        strong=windows.strong,
        pair_group=windows.group,
        weights=windows.weights,
        definition=Definition(
            mean=layer.table.mean,
            cap=layer.table.cap,
            encoder=row,
            bias=float(bias[latent] * weights["gain"][latent]),
            threshold=float(weights["threshold"][latent]),
            token=(layer.table.rows[ids.ravel()] @ row).reshape(ids.shape).astype(np.float32),
        ),
    )
