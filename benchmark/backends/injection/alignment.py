"""Least squares between residual streams on the same texts: starts of projections, input lenses.

Tokens of two models are paired where they end at the same character. The first token of a text is
left out: it is an attention sink, whose residual is far larger than all others. An input lens says
what a direction responds to among a model's own input embeddings: at each layer the residual stream
is predicted linearly from the embedding of the token there (maps as in arXiv:2303.09435,
transposed); the direction is pulled back through that map and compared with every embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...errors import UsageError
from ..models.pretrained import load_model, load_tokenizer, usable_device
from .hooks import check_layer, decoder_layers, hidden_of, hooked
from .learned import Projection
from .quoted import offsets_of
from .spec import Injection, Maps, matched_layer

RIDGE = {"aligned": 1e-6, "pulled-back": 1e-2}
"""Weight of the penalty on the maps, as a share of the mean variance of a coordinate."""
PAIRS = {"aligned": 8_000, "pulled-back": 32_000}  # pairs after which no more texts are read
LONGEST = 256  # tokens read of a text

OnPairs = Callable[[int, int], None]  # progress: pairs seen and pairs wanted


def silent_pairs(_seen: int, _wanted: int) -> None:
    """Ignore progress."""


Place = tuple[int, int] | None
"""First and last layer whose outputs are averaged; None for the input embedding."""


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


class Moments:
    """Sums over pairs of a target's states x and an explainer's y."""

    def __init__(self) -> None:
        """Begin with no pairs."""
        self.n = 0
        self.x: Any = 0.0
        self.y: Any = 0.0
        self.xx: Any = 0.0
        self.xy: Any = 0.0
        self.yy: Any = 0.0

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
    on_pairs: OnPairs = silent_pairs,
) -> Projection:
    """Fit a map for each block of target layers (first and last) to what the explainer has there.

    x is the target's residual stream at a token, averaged over the block; y is what the explainer
    has for the same text where vectors enter. `aligned` maps states to the explainer's own states;
    `pulled-back` maps directions to what they respond to, with every x at length 1, so that a few
    states of huge length do not decide. Aligned maps are a start for training; those that lead to
    the nearest embeddings, as pulled-back ones do, are measured and stay. UsageError: the texts
    give fewer pairs than the fitted side is wide.
    """
    maps, pulled = injection.projection, start == "pulled-back"
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
            own.add(torch.nn.functional.normalize(x, dim=-1) if pulled else x, y)
        on_pairs(min(moments[0].n, PAIRS[start]), PAIRS[start])
        if moments[0].n >= PAIRS[start]:
            break
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
    n_target, n_explainer = len(decoder_layers(target)), len(decoder_layers(explainer))
    if injection.layer is None:
        first, last = (matched_layer(layer, n_target, n_explainer) for layer in block)
        return first, last
    check_layer(injection.layer, n_explainer)
    return injection.layer, injection.layer


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


InputLens = Callable[[npt.NDArray[np.float32], Sequence[int], int], npt.NDArray[np.int64]]
"""From directions (n, d_model), their layers and k to the k tokens that each responds to most, by
cosine with their embeddings, best first, (n, k)."""


def make_input_lens(
    reader: Reader, layers: Sequence[int], texts: Sequence[str], on_pairs: OnPairs = silent_pairs
) -> InputLens:
    """Measure the maps of some layers on the first 32,000 tokens of texts."""
    model = reader.model
    chosen = tuple(sorted(set(layers)))
    width = model.config.get_text_config().hidden_size
    maps = Maps(d_target=width, n_layers=len(decoder_layers(model)), layers=chosen)
    injection, blocks = Injection(projection=maps), [(layer, layer) for layer in chosen]
    projection = fitted_projection(
        "pulled-back", injection, blocks, reader, reader, texts, on_pairs=on_pairs
    )
    unit: Any = torch.nn.functional.normalize

    def lens(vectors: npt.NDArray[np.float32], of: Sequence[int], k: int) -> npt.NDArray[np.int64]:
        with torch.inference_mode():
            embedded = model.get_input_embeddings().weight.float()
            own = torch.tensor([[layer, layer] for layer in of])
            pulled = projection(torch.from_numpy(vectors), own).to(embedded.device)
            cosines = unit(pulled, dim=-1) @ unit(embedded, dim=-1).T
            best: npt.NDArray[np.int64] = cosines.topk(min(k, len(embedded))).indices.cpu().numpy()
        return best

    return lens


BigramLens = Callable[
    [npt.NDArray[np.float32], Sequence[int]], tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
]
"""From directions (n, d_model) and their layers to the token there and the token before it that
each responds to most, (n,) each."""


def make_bigram_lens(
    reader: Reader, layers: Sequence[int], texts: Sequence[str], on_pairs: OnPairs = silent_pairs
) -> BigramLens:
    """Measure linear maps of the last two tokens together, as `make_input_lens` does for one."""
    model, wanted = reader.model, PAIRS["pulled-back"]
    chosen = sorted(set(layers))
    moments = {layer: Moments() for layer in chosen}
    n = 0
    for text in texts:
        places = [i for i, _ in paired_tokens(reader.tokenizer, reader.tokenizer, text) if i > 1]
        if not places:
            continue
        states = read_states(reader, text, [(layer, layer) for layer in chosen], places)
        (here,) = read_states(reader, text, [None], places)
        (before,) = read_states(reader, text, [None], [place - 1 for place in places])
        for layer, state in zip(chosen, states, strict=True):
            unit = torch.nn.functional.normalize(state, dim=-1)
            moments[layer].add(unit, torch.cat([here, before], dim=1))
        n += len(places)
        on_pairs(min(n, wanted), wanted)
        if n >= wanted:
            break
    width = model.get_input_embeddings().weight.shape[1]
    if n < 2 * width:
        raise UsageError(f"the texts give {n} tokens, which cannot align {2 * width} coordinates")
    maps = {layer: one.pulled_back() for layer, one in moments.items()}

    def lens(vectors: npt.NDArray[np.float32], of: Sequence[int]) -> Any:
        with torch.inference_mode():
            embedded = torch.nn.functional.normalize(
                model.get_input_embeddings().weight.float().cpu(), dim=-1
            )
            rows = zip(of, torch.from_numpy(vectors), strict=True)
            pulled = torch.stack([maps[layer] @ one for layer, one in rows])
            parts = torch.split(pulled, width, dim=1)
            return tuple((part @ embedded.T).argmax(dim=1).numpy() for part in parts)

    return lens
