"""What a direction promotes: a model's last norm and output layer, applied to vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ...errors import UsageError
from ..injection.hooks import decoder_layers

Readout = Callable[[npt.NDArray[np.float32], int], npt.NDArray[np.int64]]
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
    """Bind norm and output layer of a loaded model."""
    norm, head = final_norm(model), model.get_output_embeddings()

    def readout(vectors: npt.NDArray[np.float32], k: int) -> npt.NDArray[np.int64]:
        with torch.inference_mode():
            rows = torch.from_numpy(vectors).to(head.weight.device, head.weight.dtype)
            logits = head(norm(rows)).float()
            best: npt.NDArray[np.int64] = logits.topk(min(k, logits.shape[1])).indices.cpu().numpy()
        return best

    return readout
