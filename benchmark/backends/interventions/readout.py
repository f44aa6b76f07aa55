"""Which tokens a direction promotes, and which it responds to.

A readout applies a model's last norm and output layer to vectors. An input lens predicts the
residual stream at a layer linearly from the embedding of the token there (maps as in
arXiv:2303.09435, transposed), pulls the direction back through that map and compares it with every
embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...cache import Progress, silent
from ...errors import UsageError
from ..injection.alignment import (
    PAIRS,
    Floats,
    Ids,
    Reader,
    fitted_projection,
    gathered,
    paired_tokens,
    read_states,
    unit,
)
from ..injection.hooks import decoder_layers
from ..injection.spec import Injection, Maps
from ..models.batch import check_finite

InputLens = Callable[[Floats, Sequence[int], int], Ids]
"""From directions (n, d_model), their layers and k to the k tokens that each responds to most, by
cosine with their embeddings, best first, (n, k)."""


def make_input_lens(
    reader: Reader, layers: Sequence[int], texts: Sequence[str], progress: Progress = silent
) -> InputLens:
    """Measure the maps of some layers on the first 32,000 tokens of texts."""
    model = reader.model
    chosen = tuple(sorted(set(layers)))
    width = model.config.get_text_config().hidden_size
    maps = Maps(d_target=width, n_layers=len(decoder_layers(model)), layers=chosen)
    injection, blocks = Injection(projection=maps), [(layer, layer) for layer in chosen]
    projection = fitted_projection(
        "pulled-back", injection, blocks, reader, reader, texts, progress=progress
    )

    def lens(vectors: Floats, of: Sequence[int], k: int) -> Ids:
        with torch.inference_mode():
            embedded = model.get_input_embeddings().weight.float()
            own = torch.tensor([[layer, layer] for layer in of])
            pulled = projection(torch.from_numpy(vectors), own).to(embedded.device)
            return _likeliest(unit(pulled) @ unit(embedded).T, k)

    return lens


def _likeliest(scores: Tensor, k: int) -> Ids:
    check_finite(scores, lambda row: f"direction {row + 1} of a batch")
    best: Ids = scores.topk(min(k, scores.shape[1])).indices.cpu().numpy()
    return best


BigramLens = Callable[[Floats, Sequence[int]], tuple[Ids, Ids]]
"""From directions (n, d_model) and their layers to the token there and the token before it that
each responds to most, (n,) each."""


def make_bigram_lens(
    reader: Reader, layers: Sequence[int], texts: Sequence[str], progress: Progress = silent
) -> BigramLens:
    """Measure linear maps of the last two tokens together, as `make_input_lens` does for one."""
    model, chosen = reader.model, sorted(set(layers))

    def read(text: str) -> Iterator[tuple[Tensor, Tensor]]:
        places = [i for i, _ in paired_tokens(reader.tokenizer, reader.tokenizer, text) if i > 1]
        if places:
            states = read_states(reader, text, [(layer, layer) for layer in chosen], places)
            (here,) = read_states(reader, text, [None], places)
            (before,) = read_states(reader, text, [None], [place - 1 for place in places])
            yield from ((unit(state), torch.cat([here, before], dim=1)) for state in states)

    moments = gathered(len(chosen), texts, read, PAIRS["pulled-back"], progress)
    n, width = moments[0].n, model.get_input_embeddings().weight.shape[1]
    if n < 2 * width:
        raise UsageError(f"the texts give {n} tokens, which cannot align {2 * width} coordinates")
    maps = {layer: one.pulled_back() for layer, one in zip(chosen, moments, strict=True)}

    def lens(vectors: Floats, of: Sequence[int]) -> Any:
        with torch.inference_mode():
            embedded = unit(model.get_input_embeddings().weight.float().cpu())
            rows = zip(of, torch.from_numpy(vectors), strict=True)
            pulled = torch.stack([maps[layer] @ one for layer, one in rows])
            parts = torch.split(pulled, width, dim=1)
            return tuple(_likeliest(part @ embedded.T, 1)[:, 0] for part in parts)

    return lens


Readout = Callable[[Floats, int], Ids]
"""From vectors (n, d_model) and k to the k likeliest token ids of each, best first, (n, k)."""


def final_norm(model: Any) -> nn.Module:
    """The norm of the model's width between the last decoder layer and the output layer."""
    width = model.config.get_text_config().hidden_size
    inside = {id(module) for module in decoder_layers(model).modules()}
    norms: list[nn.Module] = [
        module
        for name, module in model.base_model.named_modules()
        if id(module) not in inside
        and "norm" in type(module).__name__.lower()
        and "embed" not in name
        and getattr(module, "weight", torch.empty(0)).shape == (width,)
    ]
    if len(norms) != 1:
        raise UsageError(f"{type(model).__name__}: its last norm cannot be told apart")
    return norms[0]


def make_readout(model: Any) -> Readout:
    """What a direction promotes: the last norm and the output layer of a model, bound."""
    norm, head = final_norm(model), model.get_output_embeddings()

    def readout(vectors: Floats, k: int) -> Ids:
        with torch.inference_mode():
            rows = torch.from_numpy(vectors).to(head.weight.device, head.weight.dtype)
            return _likeliest(head(norm(rows)).float(), k)

    return readout
