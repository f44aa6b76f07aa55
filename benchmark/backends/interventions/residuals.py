"""Residual streams of windows, and the loss when a residual stream is replaced.

Owns the forward pass of many short texts of one length, each read alone after one token `bos`, and
what is read from or written into it. Plain hooks and no nnsight: one pass reads several layers and
stops after the deepest of them, which nnsight's engine in `trace.py` is not made for; a
test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ...errors import UsageError
from ..models.target_model import TargetModel

Replace = Callable[[Tensor], Tensor]
"""Maps residuals, float32 (n, width, d_model), to what takes their place, same shape."""


class _DeepestReachedError(Exception):
    """Ends a forward pass; never leaves this module."""


def window_residuals(
    target: TargetModel, ids: Tensor, *, bos: int, layers: Sequence[int]
) -> dict[int, Tensor]:
    """Read the residual stream of windows at some layers, in one pass.

    Args:
        target: the target model.
        ids: token ids of the windows, int64 (n, width), without the token before them.
        bos: the token read before every window; its residual is not returned.
        layers: 0-based decoder layers whose output is read.

    Returns:
        For each layer float32 (n, width, d_model), on the target's device.

    Raises:
        UsageError: a layer does not exist.
    """
    unknown = [layer for layer in layers if not 0 <= layer < target.n_layers]
    if unknown or not layers:
        raise UsageError(f"layers {list(layers)}: the target has layers 0 to {target.n_layers - 1}")
    found: dict[int, Tensor] = {}
    deepest = max(layers)

    def keep(layer: int) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            hidden = output[0] if isinstance(output, tuple) else output
            found[layer] = hidden[:, 1:].float()
            if layer == deepest:
                raise _DeepestReachedError

        return hook

    hooks = {layer: keep(layer) for layer in layers}
    with suppress(_DeepestReachedError), torch.inference_mode(), _hooks(target, hooks):
        target.model(input_ids=_after(bos, ids, target), use_cache=False, logits_to_keep=1)
    # not inference tensors: a training step may save them for its backward pass
    return {layer: found[layer].clone() for layer in layers}


def residual_arrays(
    target: TargetModel, ids: npt.NDArray[np.int32], *, bos: int, layers: Sequence[int]
) -> dict[int, npt.NDArray[np.float32]]:
    """Read what `window_residuals` reads, from and into arrays.

    Args:
        target: the target model.
        ids: token ids of the windows, int32 (n, width).
        bos: as there.
        layers: as there.

    Returns:
        For each layer float32 (n, width, d_model).

    Raises:
        UsageError: a layer does not exist.
    """
    read = window_residuals(target, torch.from_numpy(ids.astype(np.int64)), bos=bos, layers=layers)
    return {layer: residuals.cpu().numpy() for layer, residuals in read.items()}


def spliced_losses(
    target: TargetModel,
    ids: Tensor,
    *,
    bos: int,
    layer: int | None = None,
    replace: Replace | None = None,
) -> Tensor:
    """Next-token cross-entropy of windows while one layer's output is replaced.

    The token before the window keeps its own residual. Counted are the predictions made at window
    positions, which the replacement can change: tokens 2 to `width` of each window.

    Args:
        target: the target model.
        ids: token ids of the windows, int64 (n, width).
        bos: the token read before every window.
        layer: 0-based decoder layer whose output is replaced; None for none.
        replace: gives the replacement.

    Returns:
        Losses in nats, float32 (n, width - 1).
    """

    def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        assert replace is not None
        hidden = output[0] if isinstance(output, tuple) else output
        new = torch.cat([hidden[:, :1], replace(hidden[:, 1:].float()).to(hidden)], dim=1)
        return (new, *output[1:]) if isinstance(output, tuple) else new

    hooks = {} if layer is None or replace is None else {layer: hook}
    with torch.inference_mode(), _hooks(target, hooks):
        logits = target.model(input_ids=_after(bos, ids, target), use_cache=False).logits
        predicted = logits[:, 1:-1].float()  # (n, width - 1, vocabulary)
        losses: Tensor = nn.functional.cross_entropy(
            predicted.transpose(1, 2), ids[:, 1:].to(predicted.device), reduction="none"
        )
    return losses


def _after(bos: int, ids: Tensor, target: TargetModel) -> Tensor:
    start = ids.new_full((len(ids), 1), bos)
    return torch.cat([start, ids], dim=1).to(target.device)


@contextmanager
def _hooks(target: TargetModel, hooks: dict[int, Callable[..., Any]]) -> Iterator[None]:
    handles = [target.modules[layer].register_forward_hook(hook) for layer, hook in hooks.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
