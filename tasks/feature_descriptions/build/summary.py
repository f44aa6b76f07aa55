"""How good the table and autoencoder of a layer are, and what a frozen split looks like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ....benchmark.files import read_jsonl
from .assemble import Layer
from .find import Described
from .splits import kept_as
from .stages import load_residuals
from .table import capped

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Quantiles in a split's statistics."""
_SPREAD = ("r_held_out", "token_r", "bigram_r", "nearest_train")

Rows = Sequence[dict[str, Any]]


def describe_split(root: Path, split: str) -> dict[str, Any]:
    """Say what a split looks like, by kind of feature.

    Args:
        root: folder of the suite.
        split: the split.

    Returns:
        `queries`, `layers`, and for each kind `queries`, `layers`, `distinct` predicates, the share
        of the `commonest` one and quantiles of the scores of truth; for splits that are scored also
        `nearest_means_the_same`: features whose nearest training vector has the same predicate.
    """
    queries, truth = _rows(root / split / "queries.jsonl"), _rows(root / split / "truth.jsonl")
    layers = Counter(row["fields"]["layer"] for row in queries)
    found: dict[str, Any] = {"queries": len(queries), "layers": _counts(layers)}
    for kind in sorted({row["kind"] for row in queries}):
        places = [place for place, row in enumerate(queries) if row["kind"] == kind]
        names = Counter(truth[place]["predicate"] for place in places)
        found[kind] = {
            "queries": len(places),
            "layers": _counts(Counter(queries[place]["fields"]["layer"] for place in places)),
            "distinct": len(names),
            "commonest": max(names.values()) / len(places),
            **{
                f"{name}_quantiles": {
                    str(q): round(float(np.quantile([truth[p][name] for p in places], q)), 6)
                    for q in QUANTILES
                }
                for name in _SPREAD
            },
        }
    if split != "train":
        found["nearest_means_the_same"] = _same(root, split, truth)
    return found


def nearest_train(root: Path, split: str) -> npt.NDArray[np.float32]:
    """Largest cosine of each vector of a split with another one of the training split, (n,)."""
    cosines = np.sort(_cosines(root, split), axis=1)
    return np.asarray(cosines[:, -2 if split == "train" else -1])


def _same(root: Path, split: str, truth: Rows) -> int:
    train = _rows(root / "train" / "truth.jsonl")
    best = _cosines(root, split).argmax(axis=1).tolist()
    return sum(
        train[place]["predicate"] == row["predicate"]
        for place, row in zip(best, truth, strict=True)
    )


def _cosines(root: Path, split: str) -> npt.NDArray[np.float32]:
    from safetensors.numpy import load_file

    own, train = (
        load_file(root / name / "vectors.safetensors")["vectors"].astype(np.float32)
        for name in (split, "train")
    )
    return np.asarray(own @ train.T)


def _counts(layers: Counter[int]) -> dict[str, int]:
    return {str(layer): layers[layer] for layer in sorted(layers)}


def _rows(path: Path) -> Rows:
    return [row for _, row in read_jsonl(path)]


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
