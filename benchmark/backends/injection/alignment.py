"""Least squares between two models on the same texts: where a projection starts.

Tokens of the two models are paired where they end at the same character; of the explainer that
place is read where vectors will enter: its embedding, one layer, or the layer that matches the
target's by relative depth. The first token of a text is left out: models use it as an attention
sink, and its residual is far larger than all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...errors import UsageError
from ..models.pretrained import load_model, load_tokenizer, usable_device
from .hooks import decoder_layers
from .projection import Projection
from .quoted import offsets_of
from .spec import Injection, matched_layer

RIDGE = {"aligned": 1e-6, "pulled-back": 1e-2}
"""Weight of the penalty on the maps, as a share of the mean variance of a coordinate."""
PAIRS = {"aligned": 8_000, "pulled-back": 32_000}
"""Pairs after which no more texts are read."""
LONGEST = 256
"""Tokens read of a text."""

OnText = Callable[[int, int], None]
"""Told pairs found and pairs wanted."""
Place = tuple[int, int] | None
"""First and last layer whose outputs are averaged; None for the input embedding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A model that reads texts."""

    model: Any
    """Causal language model of transformers."""
    tokenizer: Any
    """Its fast tokenizer."""


class Moments:
    """Sums over pairs of a target's states x, float64 (n, d_target), and an explainer's y."""

    def __init__(self) -> None:
        """Begin with no pairs."""
        self.n = 0
        self.x: Any = 0.0
        self.y: Any = 0.0
        self.xx: Any = 0.0
        self.xy: Any = 0.0
        self.yy: Any = 0.0

    def add(self, x: Tensor, y: Tensor) -> None:
        """Count pairs."""
        self.n += len(x)
        self.x, self.y = self.x + x.sum(0), self.y + y.sum(0)
        self.xx, self.xy, self.yy = self.xx + x.T @ x, self.xy + x.T @ y, self.yy + y.T @ y

    def aligned(self) -> Tensor:
        """The W that minimises sum |W x - y|^2 + ridge |W|^2, float32 (d_explainer, d_target)."""
        return _solved(self.xx, self.xy, RIDGE["aligned"]).T.float().contiguous()

    def pulled_back(self) -> Tensor:
        """The transpose of the A that minimises sum |A (y - mean) - (x - mean)|^2 + ridge |A|^2.

        A direction d read as a probe sees d . x = (A^T d) . y plus a constant, so A^T d is what it
        responds to among the explainer's own states; float32 (d_explainer, d_target).
        """
        yy = self.yy - torch.outer(self.y, self.y) / self.n
        yx = self.xy.T - torch.outer(self.y, self.x) / self.n
        return _solved(yy, yx, RIDGE["pulled-back"]).float().contiguous()


def fitted_projection(
    start: str,
    injection: Injection,
    blocks: Sequence[tuple[int, int]],
    target: Reader,
    explainer: Reader,
    texts: Sequence[str],
    *,
    told: OnText = lambda _found, _wanted: None,
) -> Projection:
    """Fit a map for each block, between the target's residual and what the explainer has.

    x is the target's residual stream at a token, averaged over a block of layers, y what the
    explainer has for the same text where vectors enter. For `aligned`, states go where the
    explainer has its own (`Moments.aligned`); for `pulled-back`, directions go to what they respond
    to (`Moments.pulled_back`), and every x is brought to length 1 first, so that a few states of
    huge length do not decide. Aligned maps are a start for training; those that lead to the nearest
    embeddings, as pulled-back ones do, are measured and stay.

    Args:
        start: `aligned` or `pulled-back`.
        injection: where vectors enter, with the maps that are declared, without biases.
        blocks: first and last target layer of each map, the first as in `maps.layers`.
        target: whose vectors will be mapped.
        explainer: who will read them.
        texts: what both read.
        told: how far it is.

    Raises:
        UsageError: the texts give fewer pairs than the fitted side is wide, a tokenizer tells no
            character offsets, or the explainer has no such layer.
    """
    maps = injection.projection
    if maps is None or tuple(first for first, _ in blocks) != maps.layers or maps.bias:
        raise UsageError("a fitted projection has one map without bias for each block")
    there = [_place(injection, block, target.model, explainer.model) for block in blocks]
    moments = [Moments() for _ in blocks]
    for text in texts:
        pairs = paired_tokens(target.tokenizer, explainer.tokenizer, text)
        if not pairs:
            continue
        ours = read_states(target, text, blocks, [i for i, _ in pairs])
        theirs = read_states(explainer, text, there, [j for _, j in pairs])
        for own, x, y in zip(moments, ours, theirs, strict=True):
            own.add(torch.nn.functional.normalize(x, dim=-1) if start == "pulled-back" else x, y)
        told(min(moments[0].n, PAIRS[start]), PAIRS[start])
        if moments[0].n >= PAIRS[start]:
            break
    width = explainer.model.config.get_text_config().hidden_size
    needed = width if start == "pulled-back" else maps.d_target  # what is solved for
    if moments[0].n < needed:
        raise UsageError(
            f"the texts give {moments[0].n} pairs of tokens, which cannot align {needed} "
            "coordinates; give more text"
        )
    fits = [one.pulled_back() if start == "pulled-back" else one.aligned() for one in moments]
    tensors = {f"{first}.weight": fit for (first, _), fit in zip(blocks, fits, strict=True)}
    return Projection(maps, tensors).requires_grad_(start == "aligned" and not maps.nearest)


def _solved(square: Tensor, product: Tensor, ridge: float) -> Tensor:
    penalty = ridge * square.diagonal().mean() * torch.eye(len(square), dtype=square.dtype)
    solved: Tensor = torch.linalg.solve(square + penalty, product)
    return solved


def fit_base(
    start: str,
    model: Any,
    base: Path,
    target: Path,
    injection: Injection,
    blocks: Sequence[tuple[int, int]],
    texts: Sequence[str],
    *,
    device: str = "cpu",
    told: OnText = lambda _found, _wanted: None,
) -> Projection:
    """Fit maps between a target in a folder and a loaded base model; as `fitted_projection`.

    Args:
        start: `aligned` or `pulled-back`.
        model: the loaded base model; moved to the device.
        base: its folder, for the tokenizer.
        target: folder of the target.
        injection: where vectors enter, with the maps that are declared.
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
    return fitted_projection(
        start,
        injection,
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


def _place(injection: Injection, block: tuple[int, int], target: Any, explainer: Any) -> Place:
    """Where vectors of a block enter the explainer."""
    if injection.mode == "embedding":
        return None
    n_target, n_explainer = len(decoder_layers(target)), len(decoder_layers(explainer))
    if injection.layer is None:
        first, last = (matched_layer(layer, n_target, n_explainer) for layer in block)
        return first, last
    if injection.layer >= n_explainer:
        raise UsageError(
            f"injection layer {injection.layer}: this explainer has layers 0 to {n_explainer - 1}"
        )
    return injection.layer, injection.layer


def read_states(
    reader: Reader, text: str, places: Sequence[Place], positions: Sequence[int]
) -> list[Tensor]:
    """For each place float64 (n_positions, d_model): what the model has there."""
    ids = torch.tensor([reader.tokenizer(text)["input_ids"][:LONGEST]], device=reader.model.device)
    chosen = torch.tensor(positions)
    with torch.no_grad():
        embedded = reader.model.get_input_embeddings()(ids)
        read: list[Tensor] = []
        if any(place is not None for place in places):
            with _outputs(decoder_layers(reader.model)) as read:
                reader.model.base_model(ids, use_cache=False)
    return [
        torch.stack(
            [one[0].cpu()[chosen].double() for one in _averaged(place, embedded, read)]
        ).mean(0)
        for place in places
    ]


def _averaged(place: Place, embedded: Tensor, read: Sequence[Tensor]) -> Sequence[Tensor]:
    return [embedded] if place is None else read[place[0] : place[1] + 1]


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
