"""The two independent ways to the same numbers that self-tests compare: ours, and plain hooks.

Owns prompts, places, vectors and both computations; what is asked of them is in `selftests.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..models.target_model import TargetModel
from . import trace as interventions
from .trace import Branch, Stem, pad, position_ids

TEXTS = (
    "The capital of France is Paris. The capital of Kenya is",
    "Water boils at a hundred degrees and freezes at",
    "She opened the door, looked at the garden, and then",
    "One two three four five",
)
"""Prompts of different lengths."""

TOLERANCE = {torch.float32: 2e-4, torch.float64: 1e-9}
"""Largest relative difference of logits that counts as equal, by dtype."""
LOW_PRECISION_TOLERANCE = 5e-2
"""The same for every other dtype."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Prompts, places and vectors shared by the checks."""

    target: TargetModel
    """The target model."""
    rows: tuple[tuple[int, ...], ...]
    """Tokens of `TEXTS`."""
    place: tuple[int, ...]
    """Patched position in each row: neither first nor last."""
    layer: int
    """Patched layer, in the middle of the model."""
    noise: torch.Tensor
    """A random vector of the residual's norm for each row, (n_rows, d_model)."""
    own: torch.Tensor
    """Each row's own residual at (layer, place), (n_rows, d_model)."""


def lay(target: TargetModel) -> Ground:
    """Tokenise the prompts, choose places and read residuals."""
    rows = tuple(tuple(target.encode(text)) for text in TEXTS)
    place = tuple(max(1, len(row) // 2) for row in rows)
    layer = target.n_layers // 2
    reads = interventions.residuals(target, rows, [[p] for p in place])
    own = torch.stack([read[0, layer] for read in reads])
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(own.shape, generator=generator).to(own)
    noise = noise / noise.norm(dim=-1, keepdim=True) * own.norm(dim=-1, keepdim=True)
    return Ground(target=target, rows=rows, place=place, layer=layer, noise=noise, own=own)


def blocks(n_layers: int, count: int) -> list[tuple[int, int]]:
    """First and last layer of `count` blocks, from the first layers to the last ones.

    A block has a fifth of the layers, at least two: with one it could not be told from its first.
    """
    size = min(n_layers, max(2, n_layers // 5))
    starts = [(n_layers - size) * i // max(1, count - 1) for i in range(count)]
    return [(start, start + size - 1) for start in starts]


def stems(ground: Ground, *, plain: bool) -> list[Stem]:
    """Each row as a stem that ends before its place, and a branch with the row's noise there.

    Args:
        ground: the prompts.
        plain: a second branch of each stem has no patch.
    """
    found = []
    for row, (tokens, place) in enumerate(zip(ground.rows, ground.place, strict=True)):
        ids, layers = tokens[place:], (ground.layer, ground.layer)
        patched = Branch(ids=ids, layers=layers, vector=ground.noise[row])
        branches = (patched, Branch(ids=ids)) if plain else (patched,)
        found.append(Stem(ids=tokens[:place], branches=branches))
    return found


def last_logits(
    ground: Ground,
    which: Sequence[int],
    vectors: torch.Tensor | None,
    *,
    side: str = "left",
    spans: Sequence[tuple[int, int]] | None = None,
) -> torch.Tensor:
    """Last-token logits of some rows as one padded batch, patched or not.

    Args:
        ground: the prompts.
        which: rows of the batch.
        vectors: what is written in each row of `ground`, (n_rows, d_model); None for no patch.
        side: `left` or `right` padding.
        spans: first and last patched layer of each row of `ground`; by default `ground.layer`.

    Returns:
        float32 (n_which, vocabulary).
    """
    target = ground.target
    rows = [ground.rows[i] for i in which]
    batch = pad(rows, target, side=side)
    width = batch.ids.shape[1]
    start = [width - len(row) if side == "left" else 0 for row in rows]
    branches = [
        Branch(ids=ground.rows[i])
        if vectors is None
        else Branch(
            ids=ground.rows[i],
            layers=(ground.layer, ground.layer) if spans is None else spans[i],
            vector=vectors[i],
        )
        for i in which
    ]
    inputs: dict[str, object] = {
        "input_ids": batch.ids,
        "attention_mask": batch.mask,
        "position_ids": position_ids(batch.mask),
        "use_cache": False,
    }
    columns = [s + ground.place[i] for s, i in zip(start, which, strict=True)]
    logits, _ = interventions.patched_forward(target, inputs, branches, columns)
    return torch.stack(
        [logits[n, s + len(row) - 1] for n, (s, row) in enumerate(zip(start, rows, strict=True))]
    ).float()


def hooked_logits(
    ground: Ground,
    row: int,
    vector: torch.Tensor | None,
    *,
    span: tuple[int, int] | None = None,
    said: Sequence[int] = (),
) -> torch.Tensor:
    """Last-token logits of one row alone, patched by plain torch forward hooks, without a cache.

    Args:
        ground: the prompts.
        row: which of them.
        vector: what is written at the row's place, (d_model,); None for no patch.
        span: first and last patched layer; by default `ground.layer`.
        said: tokens after the prompt.

    Returns:
        float32 (vocabulary,).
    """
    first, last = span or (ground.layer, ground.layer)
    layers = () if vector is None else tuple(ground.target.modules)[first : last + 1]
    ids = torch.tensor([[*ground.rows[row], *said]], device=ground.target.device)
    with ExitStack() as stack, torch.inference_mode():
        for layer in layers:
            stack.enter_context(_written(layer, ground.place[row], vector))
        logits: torch.Tensor = ground.target.model(input_ids=ids, use_cache=False).logits
    return logits[0, -1].float()


@contextmanager
def _written(layer: nn.Module, place: int, vector: torch.Tensor | None) -> Iterator[None]:
    def write(_module: nn.Module, _inputs: object, output: Any) -> object:
        hidden = (output[0] if isinstance(output, tuple) else output).clone()
        hidden[0, place] = vector
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

    handle = layer.register_forward_hook(write)
    try:
        yield
    finally:
        handle.remove()


def gap(first: torch.Tensor, second: torch.Tensor) -> float:
    """Largest absolute difference over the largest absolute value."""
    return float((first - second).abs().max() / second.abs().max().clamp(min=1e-9))


def tolerance(target: TargetModel) -> float:
    """Relative difference that counts as equal for the target's dtype."""
    return TOLERANCE.get(target.model.dtype, LOW_PRECISION_TOLERANCE)
