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

from introspect_bench.benchmark.backends.alignment import OnText, Reader, fitted_projection
from introspect_bench.benchmark.backends.injection import Injection, Maps
from introspect_bench.benchmark.backends.injector import decoder_layers
from introspect_bench.benchmark.backends.loading import find_model
from introspect_bench.benchmark.backends.pretrained import (
    load_model,
    load_tokenizer,
    usable_device,
)

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


def load_input_lens(
    name: str,
    layers: Sequence[int],
    texts: Sequence[str],
    *,
    device: str,
    told: OnText = lambda _found, _wanted: None,
) -> tuple[Path, InputLens, Any]:
    """Load a model in float32 and measure; return its folder, its lens and its tokenizer.

    Args:
        name: of the model.
        layers: as in `make_input_lens`, as are texts and told.
        texts: what it reads.
        device: where it runs.
        told: how far it is.

    Raises:
        UsageError: unknown name or device, or as `make_input_lens`.
        MissingPartError: weights or device are missing.
    """
    where = usable_device(device)
    folder = find_model(name).directory
    model = load_model(folder, torch.float32).to(where).eval()
    tokenizer = load_tokenizer(folder)
    reader = Reader(model=model, tokenizer=tokenizer)
    return folder, make_input_lens(reader, layers, texts, told=told), tokenizer
