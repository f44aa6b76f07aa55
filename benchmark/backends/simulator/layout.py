"""Rows of a simulator, and the adapter that it is trained with.

A row is `BOS Active on: DESCRIPTION Text:` and then its windows, one after another. A token sees
the description and the earlier tokens of its own window, never another window, and every window has
the positions that follow the description; so a window's predictions are those of that window alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ...errors import UsageError
from ..injection.hooks import decoder_layers
from .examples import TrainingSettings

PROMPT_VERSION = 1  # version of the wording and of the layout of a row
BEFORE = "Active on:"  # what stands before a description
AFTER = "\nText:"  # what stands between a description and the windows
MAX_TOKENS = 64  # tokens of a description that are read

Ids = npt.NDArray[np.int32]


class Wording:
    """Turns descriptions into the token ids that stand before windows."""

    def __init__(self, tokenizer: Any) -> None:
        """Encode the fixed parts; the first token is that of the text's beginning, or else end."""
        starts = [t for t in (tokenizer.bos_token_id, tokenizer.eos_token_id) if t is not None]
        if not starts:
            raise UsageError("the tokenizer has no token for the beginning or the end of text")
        self._tokenizer = tokenizer
        self._control = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
        self._before = [starts[0], *self._plain(BEFORE)]
        self._after = self._plain(AFTER)

    def prefix(self, description: str) -> list[int]:
        """Token ids before the windows of a description, which is untrusted text.

        White space is collapsed and control tokens are read as characters, so that it cannot
        imitate the wording.
        """
        text = " ".join(description.split())
        ids = self._plain(f" {text}")[:MAX_TOKENS] if text else []
        return [*self._before, *ids, *self._after]

    def _plain(self, text: str) -> list[int]:
        encoded = self._tokenizer(text, add_special_tokens=False, split_special_tokens=True)
        # added tokens that are not marked special are not split
        return [token for token in encoded["input_ids"] if token not in self._control]


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """Rows of one forward pass, padded on the left."""

    ids: Tensor  # token ids, int64 (rows, length)
    positions: Tensor  # position of every token, int64 (rows, length)
    mask: Tensor
    """Added to attention scores: 0 where a token may look, else the dtype's least, (rows, 1,
    length, length)."""
    first: int  # column of the first window's first token
    reach: int  # most tokens that one token sees, itself included


def pack(
    prefixes: Sequence[Sequence[int]], windows: Ids, *, device: torch.device, dtype: torch.dtype
) -> Packed:
    """Lay out one row a description: its prefix and its windows, int32 (rows, w, width)."""
    rows, count, width = windows.shape
    first = max(len(prefix) for prefix in prefixes)
    length = first + count * width
    ids = np.zeros((rows, length), dtype=np.int64)
    positions = np.zeros((rows, length), dtype=np.int64)
    # which part of its row a token belongs to: -1 padding, 0 description, then window by window
    part = np.zeros((rows, length), dtype=np.int64)
    part[:, first:] = np.repeat(np.arange(1, count + 1), width)
    ids[:, first:] = windows.reshape(rows, -1)
    for row, prefix in enumerate(prefixes):
        start = first - len(prefix)
        part[row, :start] = -1
        ids[row, start:first] = prefix
        positions[row, start:first] = np.arange(len(prefix))
        positions[row, first:] = len(prefix) + np.tile(np.arange(width), count)
    where = torch.from_numpy(part).to(device)
    own = where[:, :, None] == where[:, None, :]
    visible = (own | (where == 0)[:, None, :]).tril()
    mask = torch.zeros(visible.shape, dtype=dtype, device=device)
    mask.masked_fill_(~visible, torch.finfo(dtype).min)
    return Packed(
        ids=torch.from_numpy(ids).to(device),
        positions=torch.from_numpy(positions).to(device),
        mask=mask[:, None],
        first=first,
        reach=first + width,
    )


def lora_config(model: Any, settings: TrainingSettings) -> dict[str, Any]:
    """Settings of PEFT's LoRA: all linear modules of the layers that are adapted."""
    layers = decoder_layers(model)
    if not 0 <= settings.first_layer < len(layers):
        raise UsageError(f"first layer {settings.first_layer}: the base has {len(layers)} layers")
    path = next(name for name, module in model.named_modules() if module is layers)
    modules = {
        name.rpartition(".")[2]
        for name, module in layers.named_modules()
        if isinstance(module, nn.Linear)
    }
    if not modules:
        raise UsageError(f"{type(model).__name__}: no linear modules that an adapter could change")
    return {
        "r": settings.rank,
        "lora_alpha": settings.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": sorted(modules),
        "layers_to_transform": list(range(settings.first_layer, len(layers))),
        "layers_pattern": path.rpartition(".")[2],
    }
