"""The two independent ways to the same numbers that self-tests compare: ours, and plain hooks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..injection.hooks import hooked, rewriting
from ..models.target_model import TargetModel
from . import trace as interventions
from .trace import Branch, Stem, pad

TEXTS = (
    "The capital of France is Paris. The capital of Kenya is",
    "Water boils at a hundred degrees and freezes at",
    "She opened the door, looked at the garden, and then",
    "One two three four five",
)
"""Prompts of different lengths."""

TOLERANCE = {torch.float32: 2e-4, torch.float64: 1e-9}
"""Largest relative difference of logits that counts as equal, by dtype."""
LOW_PRECISION_TOLERANCE = 5e-2  # the same for every other dtype


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Prompts, places and vectors shared by the checks."""

    target: TargetModel  # the target model
    rows: tuple[tuple[int, ...], ...]  # tokens of `TEXTS`
    place: tuple[int, ...]  # patched position in each row: neither first nor last
    layer: int  # patched layer, in the middle of the model
    noise: torch.Tensor  # a random vector of the residual's norm for each row, (n_rows, d_model)
    own: torch.Tensor  # each row's own residual at (layer, place), (n_rows, d_model)

    @property
    def everyone(self) -> range:
        """Indices of all rows."""
        return range(len(self.rows))


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
    """`count` blocks of a fifth of the layers, at least two, from the first layers to the last."""
    size = min(n_layers, max(2, n_layers // 5))
    starts = [(n_layers - size) * i // max(1, count - 1) for i in range(count)]
    return [(start, start + size - 1) for start in starts]


def stems(ground: Ground, *, plain: bool) -> list[Stem]:
    """Each row as a stem that ends before its place, with its patch and, if `plain`, without."""
    made = []
    for row, (tokens, place) in enumerate(zip(ground.rows, ground.place, strict=True)):
        ids, layers = tokens[place:], (ground.layer, ground.layer)
        patched = Branch(ids=ids, layers=layers, vector=ground.noise[row])
        branches = (patched, Branch(ids=ids)) if plain else (patched,)
        made.append(Stem(ids=tokens[:place], branches=branches))
    return made


def last_logits(
    ground: Ground,
    vectors: torch.Tensor | None,
    *,
    which: Sequence[int] | None = None,
    side: str = "left",
    spans: Sequence[tuple[int, int]] | None = None,
) -> torch.Tensor:
    """Last-token logits of all rows, or some, in one batch; vectors and spans are by all rows."""
    chosen = ground.everyone if which is None else which
    rows = [ground.rows[i] for i in chosen]
    batch = pad(rows, ground.target, side=side)
    width = batch.ids.shape[1]
    start = [width - len(row) if side == "left" else 0 for row in rows]
    branches = [Branch(ids=row) for row in rows]
    if vectors is not None:
        layers = [(ground.layer, ground.layer) if spans is None else spans[i] for i in chosen]
        there = zip(rows, layers, chosen, strict=True)
        branches = [Branch(ids=row, layers=own, vector=vectors[i]) for row, own, i in there]
    columns = [s + ground.place[i] for s, i in zip(start, chosen, strict=True)]
    logits, _ = interventions.patched_forward(ground.target, batch.inputs(), branches, columns)
    last = [s + len(row) - 1 for s, row in zip(start, rows, strict=True)]
    return torch.stack([logits[n, column] for n, column in enumerate(last)]).float()


def hooked_logits(
    ground: Ground,
    row: int,
    vector: torch.Tensor | None,
    *,
    span: tuple[int, int] | None = None,
    said: Sequence[int] = (),
) -> torch.Tensor:
    """The same of one row alone, followed by `said`, by plain torch hooks and without a cache."""
    first, last = span or (ground.layer, ground.layer)
    layers = () if vector is None else tuple(ground.target.modules)[first : last + 1]
    ids = torch.tensor([[*ground.rows[row], *said]], device=ground.target.device)

    def write(hidden: torch.Tensor) -> torch.Tensor:
        assert vector is not None
        hidden = hidden.clone()
        hidden[0, ground.place[row]] = vector
        return hidden

    with hooked((layer, rewriting(write)) for layer in layers), torch.inference_mode():
        logits: torch.Tensor = ground.target.model(input_ids=ids, use_cache=False).logits
    return logits[0, -1].float()


def gap(first: torch.Tensor, second: torch.Tensor) -> float:
    """Largest absolute difference over the largest absolute value."""
    return float((first - second).abs().max() / second.abs().max().clamp(min=1e-9))


def tolerance(target: TargetModel) -> float:
    """Relative difference that counts as equal for the target's dtype."""
    return TOLERANCE.get(target.model.dtype, LOW_PRECISION_TOLERANCE)
