"""Least squares between residual streams on the same texts: starts of projections.

Tokens of two models are paired where they end at the same character. The first token of a text is
left out: it is an attention sink, whose residual is far larger than all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...cache import Progress, silent
from ...errors import UsageError
from ..explainer.chat import offsets_of
from ..models.devices import usable_device
from ..models.pretrained import load_model, load_tokenizer
from .hooks import check_layer, decoder_layers, hidden_of, hooked
from .learned import Projection
from .spec import Injection, matched_layer

RIDGE = {"aligned": 1e-6, "pulled-back": 1e-2}  # penalty, as a share of the mean variance
PAIRS = {"aligned": 8_000, "pulled-back": 32_000}  # pairs after which no more texts are read
LONGEST = 256  # tokens read of a text

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]
Place = tuple[int, int] | None  # layers averaged, first and last; None for the embedding


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A model that reads texts."""

    model: Any  # causal language model of transformers
    tokenizer: Any  # its fast tokenizer


def load_reader(folder: Path, *, device: str, model: Any = None) -> Reader:
    """Load a model in float32, unless it is given, and its tokenizer."""
    where = usable_device(device)
    loaded = load_model(folder, torch.float32) if model is None else model
    return Reader(model=loaded.to(where).eval(), tokenizer=load_tokenizer(folder))


@dataclass(slots=True)
class Moments:
    """Sums over pairs of a target's states x and an explainer's y."""

    n: int = 0
    x: Any = 0.0
    y: Any = 0.0
    xx: Any = 0.0
    xy: Any = 0.0
    yy: Any = 0.0

    def add(self, x: Tensor, y: Tensor) -> None:
        """Count pairs, float64 (n, d_target) and (n, d_explainer)."""
        self.n += len(x)
        self.x, self.y = self.x + x.sum(0), self.y + y.sum(0)
        self.xx, self.xy, self.yy = self.xx + x.T @ x, self.xy + x.T @ y, self.yy + y.T @ y

    def aligned(self) -> Tensor:
        """The W that minimises sum |W x - y|^2 + ridge |W|^2, float32 (d_explainer, d_target)."""
        return _solved(self.xx, self.xy, RIDGE["aligned"]).T.float().contiguous()

    def pulled_back(self) -> Tensor:
        """The transpose of the A that minimises sum |A (y - mean) - (x - mean)|^2 + ridge |A|^2.

        A probe d sees d . x = (A^T d) . y plus a constant, so A^T d is what it responds to.
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
    progress: Progress = silent,
) -> Projection:
    """Fit a map for each block of target layers (first and last) to what the explainer has there.

    `aligned` maps the target's states, averaged over a block, to the explainer's where vectors
    enter; it is a start for training. `pulled-back` maps directions to what they respond to, with
    every state at length 1, so that a few of huge length do not decide; it is not trained, nor are
    maps that lead to the nearest embeddings.
    """
    maps, pulled = injection.projection, start == "pulled-back"
    if maps is None or tuple(first for first, _ in blocks) != maps.layers or maps.bias:
        raise UsageError("a fitted projection has one map without bias for each block")
    there = [_place(injection, block, target.model, explainer.model) for block in blocks]

    def read(text: str) -> Iterator[tuple[Tensor, Tensor]]:
        pairs = paired_tokens(target.tokenizer, explainer.tokenizer, text)
        if pairs:
            ours = read_states(target, text, blocks, [i for i, _ in pairs])
            theirs = read_states(explainer, text, there, [j for _, j in pairs])
            yield from zip([unit(x) for x in ours] if pulled else ours, theirs, strict=True)

    moments = gathered(len(blocks), texts, read, PAIRS[start], progress)
    width = explainer.model.config.get_text_config().hidden_size
    needed = width if pulled else maps.d_target  # what is solved for
    if moments[0].n < needed:
        raise UsageError(
            f"the texts give {moments[0].n} pairs of tokens, which cannot align {needed} "
            "coordinates; give more text"
        )
    fits = [one.pulled_back() if pulled else one.aligned() for one in moments]
    tensors = {f"{first}.weight": fit for (first, _), fit in zip(blocks, fits, strict=True)}
    return Projection(maps, tensors).requires_grad_(not pulled and not maps.nearest)


def gathered(
    n: int,
    texts: Sequence[str],
    read: Callable[[str], Iterable[tuple[Tensor, Tensor]]],
    wanted: int,
    progress: Progress,
) -> list[Moments]:
    """`n` moments of the states that `read` gives of each text, until there are pairs enough."""
    moments = [Moments() for _ in range(n)]
    for text in texts:
        states = list(read(text))
        if not states:
            continue
        for own, (x, y) in zip(moments, states, strict=True):
            own.add(x, y)
        progress("aligning", min(moments[0].n, wanted), wanted)
        if moments[0].n >= wanted:
            break
    return moments


def unit(rows: Tensor) -> Tensor:
    """Rows at length 1."""
    return torch.nn.functional.normalize(rows, dim=-1)


def _solved(square: Tensor, product: Tensor, ridge: float) -> Tensor:
    penalty = ridge * square.diagonal().mean() * torch.eye(len(square), dtype=square.dtype)
    solved: Tensor = torch.linalg.solve(square + penalty, product)
    return solved


def paired_tokens(
    target_tokenizer: Any, explainer_tokenizer: Any, text: str
) -> list[tuple[int, int]]:
    """Indices of tokens of both models that end at the same character, first tokens left out."""
    ends = []
    for tokenizer in (target_tokenizer, explainer_tokenizer):
        offsets = offsets_of(tokenizer, text, special=True)[:LONGEST]
        # a later token that ends at the same character is the whole of it
        ends.append({high: i for i, (low, high) in enumerate(offsets) if i > 0 and high > low})
    return [(index, ends[1][end]) for end, index in ends[0].items() if end in ends[1]]


def _place(injection: Injection, block: tuple[int, int], target: Any, explainer: Any) -> Place:
    if injection.mode == "embedding":
        return None
    n_explainer = len(decoder_layers(explainer))
    if injection.layer is not None:
        check_layer(injection.layer, n_explainer)
        return injection.layer, injection.layer
    n_target = len(decoder_layers(target))
    first, last = (matched_layer(layer, n_target, n_explainer) for layer in block)
    return first, last


def read_states(
    reader: Reader, text: str, places: Sequence[Place], positions: Sequence[int]
) -> list[Tensor]:
    """For each place float64 (n_positions, d_model): what the model has there."""
    ids = torch.tensor([reader.tokenizer(text)["input_ids"][:LONGEST]], device=reader.model.device)
    chosen = torch.tensor(positions)
    outputs: list[Tensor] = []

    def keep(_module: Any, _inputs: Any, output: Any) -> None:
        outputs.append(hidden_of(output))

    with torch.no_grad():
        embedded = reader.model.get_input_embeddings()(ids)
        if any(place is not None for place in places):
            with hooked((layer, keep) for layer in decoder_layers(reader.model)):
                reader.model.base_model(ids, use_cache=False)
    blocks = [[embedded] if p is None else outputs[p[0] : p[1] + 1] for p in places]
    return [torch.stack([one[0].cpu()[chosen].double() for one in own]).mean(0) for own in blocks]
