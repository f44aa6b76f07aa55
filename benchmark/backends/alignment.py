"""Least squares between two models' residual streams on the same texts: where a projection starts.

Tokens of the two models are paired where they end at the same character. A layer of the explainer
is matched to one of the target by relative depth. The first token of a text is left out: models use
it as an attention sink, and its residual is far larger than all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from introspect_bench.benchmark.backends.injection import Maps, matched_layer
from introspect_bench.benchmark.backends.injector import decoder_layers
from introspect_bench.benchmark.backends.pretrained import (
    load_model,
    load_tokenizer,
    usable_device,
)
from introspect_bench.benchmark.backends.projection import Projection
from introspect_bench.benchmark.backends.quoting import offsets_of
from introspect_bench.benchmark.errors import UsageError

RIDGE = 1e-6
"""Weight of the penalty on the maps, as a share of the mean variance of a coordinate."""
LONGEST = 256
"""Tokens read of a text."""
PAIRS = 8_000
"""Pairs after which no more texts are read."""

OnText = Callable[[int, int], None]
"""Told pairs found and pairs wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A model that reads texts."""

    model: Any
    """Causal language model of transformers."""
    tokenizer: Any
    """Its fast tokenizer."""


def aligned_projection(
    maps: Maps,
    blocks: Sequence[tuple[int, int]],
    target: Reader,
    explainer: Reader,
    texts: Sequence[str],
    *,
    told: OnText = lambda _found, _wanted: None,
) -> Projection:
    """Fit, for each block, the map from the target's mean residual to the explainer's.

    Minimises sum |W x - y|^2 + ridge |W|^2 over pairs; x is the target's residual stream at a
    token, averaged over a block of layers, y the explainer's over the matched layers.

    Args:
        maps: what is declared; without biases.
        blocks: first and last target layer of each map, the first as in `maps.layers`.
        target: whose vectors will be mapped.
        explainer: who will read them.
        texts: what both read.
        told: how far it is.

    Raises:
        UsageError: the texts give fewer pairs than the target is wide, or a tokenizer tells no
            character offsets.
    """
    if tuple(first for first, _ in blocks) != maps.layers or maps.bias:
        raise UsageError("an aligned projection has one map without bias for each block")
    there = [_matched(block, target.model, explainer.model) for block in blocks]
    squares: list[Any] = [0.0] * len(blocks)
    products: list[Any] = [0.0] * len(blocks)
    count = 0
    for text in texts:
        pairs = paired_tokens(target.tokenizer, explainer.tokenizer, text)
        if not pairs:
            continue
        ours = _means(target, text, blocks, [i for i, _ in pairs])
        theirs = _means(explainer, text, there, [j for _, j in pairs])
        for index, (x, y) in enumerate(zip(ours, theirs, strict=True)):
            squares[index] = squares[index] + x.T @ x
            products[index] = products[index] + x.T @ y
        count += len(pairs)
        told(min(count, PAIRS), PAIRS)
        if count >= PAIRS:
            break
    if count < maps.d_target:
        raise UsageError(
            f"the texts give {count} pairs of tokens, which cannot align {maps.d_target} "
            "coordinates; give more text"
        )
    tensors = {}
    for (first, _), square, product in zip(blocks, squares, products, strict=True):
        ridge = RIDGE * square.diagonal().mean() * torch.eye(len(square), dtype=square.dtype)
        solved = torch.linalg.solve(square + ridge, product)
        tensors[f"{first}.weight"] = solved.T.float().contiguous()
    return Projection(maps, tensors)


def align_base(
    model: Any,
    base: Path,
    target: Path,
    maps: Maps,
    blocks: Sequence[tuple[int, int]],
    texts: Sequence[str],
    *,
    device: str = "cpu",
    told: OnText = lambda _found, _wanted: None,
) -> Projection:
    """Align a loaded base model with a target in a folder; as `aligned_projection`.

    Args:
        model: the loaded base model; moved to the device.
        base: its folder, for the tokenizer.
        target: folder of the target.
        maps: what is declared.
        blocks: first and last target layer of each map.
        texts: what both read.
        device: where both run.
        told: how far it is.

    Raises:
        UsageError: as there, or the target cannot be loaded.
        MissingPartError: weights, tokenizer or device are missing.
        IntegrityError: a file of the target is corrupt.
    """
    where = usable_device(device)
    there = load_model(target, torch.float32).to(where).eval()
    return aligned_projection(
        maps,
        blocks,
        Reader(model=there, tokenizer=load_tokenizer(target)),
        Reader(model=model.to(where).eval(), tokenizer=load_tokenizer(base)),
        texts,
        told=told,
    )


def paired_tokens(
    target_tokenizer: Any, explainer_tokenizer: Any, text: str
) -> list[tuple[int, int]]:
    """Indices of tokens of both models that end at the same character, first tokens left out.

    Raises:
        UsageError: a tokenizer tells no character offsets.
    """
    ends = []
    for tokenizer in (target_tokenizer, explainer_tokenizer):
        offsets = offsets_of(tokenizer, text, special=True)[:LONGEST]
        # a later token that ends at the same character is the whole of it
        ends.append({high: i for i, (low, high) in enumerate(offsets) if i > 0 and high > low})
    return [(index, ends[1][end]) for end, index in ends[0].items() if end in ends[1]]


def _matched(block: tuple[int, int], target: Any, explainer: Any) -> tuple[int, int]:
    n_target, n_explainer = len(decoder_layers(target)), len(decoder_layers(explainer))
    first, last = (matched_layer(layer, n_target, n_explainer) for layer in block)
    return first, last


def _means(
    reader: Reader, text: str, blocks: Sequence[tuple[int, int]], positions: Sequence[int]
) -> list[Tensor]:
    """For each block float64 (n_positions, d_model): the residual stream, averaged over layers."""
    ids = reader.tokenizer(text)["input_ids"][:LONGEST]
    layers = decoder_layers(reader.model)
    with torch.no_grad(), _outputs(layers) as found:
        reader.model.base_model(torch.tensor([ids], device=reader.model.device), use_cache=False)
    chosen = torch.tensor(positions)
    read = [hidden[0].cpu()[chosen].double() for hidden in found]
    return [torch.stack(read[first : last + 1]).mean(0) for first, last in blocks]


@contextmanager
def _outputs(layers: Any) -> Iterator[list[Tensor]]:
    """Outputs of decoder layers in one pass, in order."""
    found: list[Tensor] = []

    def keep(_module: Any, _inputs: Any, output: Any) -> None:
        found.append(output[0] if isinstance(output, tuple) else output)

    handles = [layer.register_forward_hook(keep) for layer in layers]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
