"""What a direction responds to among a model's own input embeddings: the input side's logit lens.

At each layer the residual stream is predicted linearly from the embedding of the token that stands
there, by least squares on texts; a direction is pulled back through that map and compared with
every token's embedding. Linear maps between layers are those of arXiv:2303.09435, transposed: a
direction is no state, it reads states.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ...errors import UsageError
from ..explainer.load import find_model
from ..models.pretrained import load_model, load_tokenizer, usable_device
from .alignment import PAIRS, Moments, OnText, Reader, fitted_projection, paired_tokens, read_states
from .hooks import decoder_layers
from .spec import Injection, Maps

InputLens = Callable[[npt.NDArray[np.float32], Sequence[int], int], npt.NDArray[np.int64]]
"""From directions (n, d_model), their layers and k to the k tokens that each responds to most, by
cosine with their embeddings, best first, (n, k)."""


def make_input_lens(
    reader: Reader,
    layers: Sequence[int],
    texts: Sequence[str],
    *,
    told: OnText = lambda _found, _wanted: None,
) -> InputLens:
    """Measure the maps of some layers.

    Args:
        reader: the model whose directions will be read.
        layers: layers they may be of, counted from 0.
        texts: what it reads; the first 32,000 tokens count.
        told: how far it is.

    Raises:
        UsageError: the texts are too short, or the tokenizer tells no character offsets.
    """
    model = reader.model
    chosen = tuple(sorted(set(layers)))
    width = model.config.get_text_config().hidden_size
    maps = Maps(d_target=width, n_layers=len(decoder_layers(model)), layers=chosen)
    projection = fitted_projection(
        "pulled-back",
        Injection(mode="embedding", projection=maps),
        [(layer, layer) for layer in chosen],
        reader,
        reader,
        texts,
        told=told,
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
    reader: Reader,
    layers: Sequence[int],
    texts: Sequence[str],
    *,
    told: OnText = lambda _found, _wanted: None,
) -> BigramLens:
    """Measure linear maps of the last two tokens together; arguments as of `make_input_lens`.

    Raises:
        UsageError: the texts are too short, or the tokenizer tells no character offsets.
    """
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
        told(min(n, wanted), wanted)
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


def load_reader(name: str, *, device: str) -> tuple[Path, Reader]:
    """Load a model in float32 with its tokenizer; return its folder too.

    Raises:
        UsageError: unknown name or device.
        MissingPartError: weights or device are missing.
    """
    where = usable_device(device)
    folder = find_model(name).directory
    model = load_model(folder, torch.float32).to(where).eval()
    return folder, Reader(model=model, tokenizer=load_tokenizer(folder))
