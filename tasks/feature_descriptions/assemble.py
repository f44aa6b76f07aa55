"""From activations and descriptions to features as they are shipped, windows included.

Owns which windows and activations are kept for a feature, and how true its description is on just
those. Pure: arrays in, records out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from introspect_bench.benchmark.correlations import signed_r
from introspect_bench.tasks.feature_descriptions.describe import Description
from introspect_bench.tasks.feature_descriptions.exemplars import Exemplars, choose
from introspect_bench.tasks.feature_descriptions.simulate import foreign_windows
from introspect_bench.tasks.feature_descriptions.windows import WINDOW

N_FOREIGN = 8
"""Windows of other features that a simulator learns silence from."""
STRONG = 0.97
"""Quantile of a vector feature's projections above which it counts as active when windows are
chosen; projections have no zero of their own."""

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Eight windows of one feature in one half of the text."""

    rows: npt.NDArray[np.int64]
    """Numbers of the windows, (8,), kinds as in `exemplars.PLAN`."""
    ids: Ids
    """Their tokens, (8, 32)."""
    activations: npt.NDArray[np.float16]
    """True activations there, (8, 32)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A described feature with its windows, not yet in a split."""

    kind: str
    """`sae`, `activation` or `difference`."""
    layer: int
    """0-based decoder layer."""
    direction: npt.NDArray[np.float16]
    """Unit direction, (d_target,)."""
    description: Description
    """What it responds to; `feature` is its column in its source."""
    held_out: Shown
    """Windows to score on."""
    describing: Shown
    """Windows of the half the description was found on."""
    foreign: Shown
    """Windows of other features of the source, of either half."""
    window_r: float
    """Correlation of the predicate with the activations of the held-out windows."""

    @property
    def key(self) -> str:
        """Name of the feature, unique in a suite."""
        return f"{self.kind}:{self.layer:02d}:{self.description.feature:06d}"


def activity(projections: Floats) -> sparse.csc_matrix:
    """How far projections exceed their feature's `STRONG` quantile, zero below it.

    Args:
        projections: (n_tokens, n_features).
    """
    above = projections - np.quantile(projections, STRONG, axis=0).astype(np.float32)
    return sparse.csc_matrix(np.maximum(above, 0))


def candidates(
    source: Any,
    kind: str,
    descriptions: Sequence[Description],
    activations: sparse.csc_matrix | Floats,
    ids: Ids,
    searched: npt.NDArray[np.bool_],
    predicates: Mapping[str, sparse.csc_matrix],
    *,
    rng: np.random.Generator,
) -> list[Candidate]:
    """Choose windows for features of one source; one that is active too seldom is left out.

    Args:
        source: where the features come from (`features.FeatureSource`).
        kind: `sae`, `activation` or `difference`.
        descriptions: of the features to keep.
        activations: (n_windows * 32, n_features), sparse and never negative for an autoencoder,
            signed projections otherwise.
        ids: tokens of the windows, (n_windows, 32).
        searched: windows of the half that descriptions were found on, (n_windows,).
        predicates: values of each description's predicate, 0 or 1, (n_windows * 32, 1).
        rng: draws the random windows.
    """
    columns = [one.feature for one in descriptions]
    kept = activations[:, columns]
    ranked = activity(kept) if isinstance(kept, np.ndarray) else kept
    describing = _by_feature(choose(ranked, ids, searched, rng=rng))
    held_out = _by_feature(choose(ranked, ids, ~searched, rng=rng))
    places = sorted(describing.keys() & held_out.keys())
    own = np.array([[*describing[place], *held_out[place]] for place in places], dtype=np.int64)
    foreign = dict(zip(places, _foreign(own, len(ids), rng), strict=True))
    found = []
    for place, description in enumerate(descriptions):
        if place not in foreign:
            continue
        values = _values(kept, place)
        rows = held_out[place]
        truth = values[rows].astype(np.float16)
        told = predicates[description.name].toarray().reshape(-1, WINDOW)[rows]
        r, _, _ = signed_r(truth[None].astype(np.float32), told[None].astype(np.float32))
        found.append(
            Candidate(
                kind=kind,
                layer=source.layer,
                direction=source.directions[description.feature].astype(np.float16),
                description=description,
                held_out=Shown(rows=rows, ids=ids[rows], activations=truth),
                describing=_shown(values, ids, describing[place]),
                foreign=_shown(values, ids, foreign[place]),
                window_r=float(r[0]),
            )
        )
    return found


def _foreign(
    own: npt.NDArray[np.int64], n_windows: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Windows of other features, or of the whole text where there are too few features."""
    if not len(own):
        return own
    pool = np.unique(own)
    enough = len(pool) >= own.shape[1] + N_FOREIGN
    return foreign_windows(own, N_FOREIGN, rng, pool if enough else np.arange(n_windows))


def _by_feature(exemplars: Exemplars) -> dict[int, npt.NDArray[np.int64]]:
    return dict(zip(exemplars.features.tolist(), exemplars.windows, strict=True))


def _values(kept: sparse.csc_matrix | Floats, place: int) -> Floats:
    """One column as windows, (n_windows, 32)."""
    column = kept[:, place] if isinstance(kept, np.ndarray) else kept[:, [place]].toarray()
    return np.asarray(column, dtype=np.float32).reshape(-1, WINDOW)


def _shown(values: Floats, ids: Ids, rows: npt.NDArray[np.int64]) -> Shown:
    return Shown(rows=rows, ids=ids[rows], activations=values[rows].astype(np.float16))
