"""What a direction promotes: a model's last norm and output layer, applied to vectors.

Owns where the two are found in an architecture of transformers. The norm divides by the vector's
length, so only its direction matters.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ...errors import UsageError
from ..explainer.load import find_model
from ..injection.hooks import decoder_layers
from ..models.pretrained import load_model, load_tokenizer, usable_device

Readout = Callable[[npt.NDArray[np.float32], int], npt.NDArray[np.int64]]
"""From vectors (n, d_model) and k to the k likeliest token ids of each, best first, (n, k)."""


def final_norm(model: Any) -> nn.Module:
    """Return the norm between the last decoder layer and the output layer.

    Raises:
        UsageError: there is not exactly one norm of the model's width outside its layers.
    """
    body = model.base_model
    width = model.config.get_text_config().hidden_size
    inside = {id(module) for module in decoder_layers(model).modules()}
    found = [
        module
        for name, module in body.named_modules()
        if id(module) not in inside
        and "norm" in type(module).__name__.lower()
        and "embed" not in name
        and getattr(module, "weight", torch.empty(0)).shape == (width,)
    ]
    if len(found) != 1:
        raise UsageError(f"{type(model).__name__}: its last norm cannot be told apart")
    norm: nn.Module = found[0]
    return norm


def make_readout(model: Any) -> Readout:
    """Bind norm and output layer of a loaded model.

    Raises:
        UsageError: as `final_norm`.
    """
    norm, head = final_norm(model), model.get_output_embeddings()

    def readout(vectors: npt.NDArray[np.float32], k: int) -> npt.NDArray[np.int64]:
        with torch.inference_mode():
            rows = torch.from_numpy(vectors).to(head.weight.device, head.weight.dtype)
            logits = head(norm(rows)).float()
            best: npt.NDArray[np.int64] = logits.topk(min(k, logits.shape[1])).indices.cpu().numpy()
        return best

    return readout


def load_readout(name: str, *, device: str) -> tuple[Path, Readout, Any]:
    """Load a model in float32; return its folder, its readout and its tokenizer.

    Raises:
        UsageError: unknown name or device, or an architecture whose norm cannot be told apart.
        MissingPartError: weights or device are missing.
    """
    where = usable_device(device)
    folder = find_model(name).directory
    return folder, make_readout(load_model(folder, torch.float32).to(where)), load_tokenizer(folder)
