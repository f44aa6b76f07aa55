"""Features that no autoencoder found: residuals at one token, and differences of matched prompts.

Owns which tokens and which prompts are read, and the projections of all windows on such directions.
Directions are rounded to float16 before anything is measured, because that is how they are shipped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from introspect_bench.tasks.facts.facts import Fact, load_facts
from introspect_bench.tasks.facts.phrases import BY_RELATION
from introspect_bench.tasks.feature_descriptions.features import (
    VectorFeatures,
    activation_differences,
    full_activations,
)
from introspect_bench.tasks.feature_descriptions.windows import WINDOW

FIRST_TOKEN = 4
"""First token of a window whose residual is taken as a vector: earlier ones have no context."""
BATCH = 64
"""Windows read in one pass."""
CENTRED = 1024
"""Windows whose residuals give a layer's mean, where no autoencoder was trained."""
CAP = 3.0
"""Greatest length of a centred residual, in medians."""

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int32]
Centring = tuple[Floats, float]
"""Mean residual of a layer, float32 (d_target,), and the greatest length of a centred one."""
Progress = Callable[[str, int], None]
"""Told a stage and how many items it just finished."""


def measured_centres(
    target: Any, ids: Ids, layers: Sequence[int], *, bos: int
) -> dict[int, Centring]:
    """Mean and cap of layers as they are fixed when an autoencoder is trained, from windows.

    The mean is that of residuals whose excess over `CAP` times the median length, about the
    median, is cut off.

    Args:
        target: the target model.
        ids: windows, int32 (n_windows, 32); the first `CENTRED` are read.
        layers: 0-based decoder layers.
        bos: the token read before every window.
    """
    found: dict[int, Centring] = {}
    for layer in sorted(set(layers)):
        residuals = _read(target, ids[:CENTRED], bos=bos, layer=layer).reshape(-1, target.d_model)
        middle = np.median(residuals, axis=0)
        lengths = np.linalg.norm(residuals - middle, axis=1, keepdims=True)
        cap = CAP * float(np.median(lengths))
        shortened = (residuals - middle) * np.minimum(1, cap / np.maximum(lengths, 1e-12))
        found[layer] = ((middle + shortened.mean(axis=0)).astype(np.float32), cap)
    return found


def activation_sources(
    target: Any,
    ids: Ids,
    centres: dict[int, Centring],
    *,
    count: int,
    bos: int,
    rng: np.random.Generator,
) -> list[VectorFeatures]:
    """Residuals at random tokens of random windows, `count` for each layer.

    Args:
        target: the target model.
        ids: windows to draw from, int32 (n_windows, 32).
        centres: mean and cap by layer.
        count: vectors of each layer; every layer reads windows of its own.
        bos: the token read before every window.
        rng: draws windows and tokens.

    Raises:
        UsageError: a residual equals its layer's mean.
        ValueError: there are fewer windows than vectors.
    """
    layers = sorted(centres)
    drawn = rng.choice(len(ids), size=(len(layers), count), replace=False)
    tokens = rng.integers(FIRST_TOKEN, WINDOW, size=drawn.shape)
    found = []
    for rows, places, layer in zip(drawn, tokens, layers, strict=True):
        residuals = _read(target, ids[rows], bos=bos, layer=layer)
        mean, cap = centres[layer]
        vectors = residuals[np.arange(count), places]
        found.append(_rounded(full_activations(vectors, layer=layer, mean=mean, cap=cap)))
    return found


def difference_sources(
    target: Any,
    centres: dict[int, Centring],
    *,
    count: int,
    rng: np.random.Generator,
) -> list[VectorFeatures]:
    """Differences at the last token of two prompts that differ in their subject alone.

    Relations take turns, so that each has its share.

    Args:
        target: the target model.
        centres: mean and cap by layer.
        count: vectors of each layer; every layer reads pairs of its own.
        rng: draws the pairs.

    Raises:
        ValueError: there are not enough pairs of facts.
    """
    layers = sorted(centres)
    pairs = fact_pairs(load_facts(), count * len(layers), rng)
    found = []
    for place, layer in enumerate(layers):
        own = pairs[place * count : (place + 1) * count]
        first, second = (
            np.stack([_last(target, prompt, layer) for prompt in side])
            for side in zip(*own, strict=True)
        )
        mean, cap = centres[layer]
        found.append(
            _rounded(activation_differences(first, second, layer=layer, mean=mean, cap=cap))
        )
    return found


def fact_pairs(
    facts: Sequence[Fact], count: int, rng: np.random.Generator
) -> list[tuple[str, str]]:
    """Pairs of open sentences of one relation about two subjects with different objects.

    Raises:
        ValueError: there are not enough facts.
    """
    by_relation: dict[str, list[Fact]] = {}
    for fact in facts:
        by_relation.setdefault(fact.relation, []).append(fact)
    queues = []
    for relation in sorted(by_relation):
        own = by_relation[relation]
        order = [own[place] for place in rng.permutation(len(own))]
        couples = zip(order[::2], order[1::2], strict=False)
        queues.append([couple for couple in couples if couple[0].objects != couple[1].objects])
    turns = max(map(len, queues), default=0)
    pairs = [queue[turn] for turn in range(turns) for queue in queues if turn < len(queue)]
    if len(pairs) < count:
        raise ValueError(f"{len(pairs)} pairs of facts, {count} are needed")
    return [(_open(first), _open(second)) for first, second in pairs[:count]]


def projections(
    target: Any, sources: Sequence[VectorFeatures], ids: Ids, *, bos: int, report: Progress
) -> list[Floats]:
    """Signed activations of vector features at every token, one pass for all layers.

    Returns:
        For each source float32 (n_windows * 32, n_features).
    """
    from introspect_bench.benchmark.backends.residuals import residual_arrays

    layers = sorted({source.layer for source in sources})
    found = [
        np.empty((len(ids) * WINDOW, len(source.directions)), np.float32) for source in sources
    ]
    for start in range(0, len(ids), BATCH):
        batch = ids[start : start + BATCH]
        residuals = residual_arrays(target, batch, bos=bos, layers=layers)
        rows = slice(start * WINDOW, (start + len(batch)) * WINDOW)
        for own, source in zip(found, sources, strict=True):
            own[rows] = source.encode(residuals[source.layer].reshape(-1, target.d_model))
        report("windows projected", len(batch))
    return found


def _read(target: Any, ids: Ids, *, bos: int, layer: int) -> Floats:
    """Residuals of windows after a layer, float32 (n_windows, 32, d_target)."""
    from introspect_bench.benchmark.backends.residuals import residual_arrays

    parts = [
        residual_arrays(target, ids[start : start + BATCH], bos=bos, layers=[layer])[layer]
        for start in range(0, len(ids), BATCH)
    ]
    return np.concatenate(parts)


def _last(target: Any, prompt: str, layer: int) -> Floats:
    """Residual at the last token of a prompt, float32 (d_target,)."""
    from introspect_bench.tasks.feature_descriptions.windows import bos_id, encode

    tokens = encode(target.tokenizer, [prompt])[0]
    return np.asarray(_read(target, tokens[None], bos=bos_id(target.tokenizer), layer=layer)[0, -1])


def _open(fact: Fact) -> str:
    return BY_RELATION[fact.relation].open(fact.subject)


def _rounded(source: VectorFeatures) -> VectorFeatures:
    return replace(source, directions=source.directions.astype(np.float16).astype(np.float32))
