"""How good the table and the autoencoder of a layer are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from introspect_bench.tasks.feature_descriptions.contextual.assemble import Layer
from introspect_bench.tasks.feature_descriptions.contextual.find import Described
from introspect_bench.tasks.feature_descriptions.contextual.splits import kept_as
from introspect_bench.tasks.feature_descriptions.contextual.stages import load_residuals
from introspect_bench.tasks.feature_descriptions.contextual.table import capped

ROWS = 16_384
"""Tokens that explained variance is measured on, spread over the fitted text."""


def layer_quality(
    work: Path,
    layer: Layer,
    described: Sequence[Described],
    ids: npt.NDArray[np.int32],
    *,
    least_r: float,
) -> dict[str, float]:
    """Measure a layer on the fitted text.

    Args:
        work: folder of the build.
        layer: what was fitted there.
        described: descriptions of its latents.
        ids: the fitted text, (n_windows, 32).
        least_r: least held-out correlation of a description that is kept.

    Returns:
        `table_share` and `explained`: shares of the variance of centred and capped residuals that
        the token table holds, and that table and autoencoder hold together, with activations as
        they are used, 0 below the threshold; `l0`, latents active at a token; `dead`, the share of
        latents that are active nowhere; numbers of latents `described` and `kept`.
    """
    activations, weights = layer.activations, layer.weights
    rows = np.arange(0, ids.size, max(1, ids.size // ROWS))
    residuals, tokens = load_residuals(work, layer.number)[rows], ids.ravel()[rows]
    whole = capped(residuals, layer.table.mean, layer.table.cap)
    coefficients = activations.tocsr()[rows]
    told = weights["center"] + coefficients @ weights["directions"]
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
