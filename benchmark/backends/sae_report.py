"""How good an autoencoder is on windows it was not trained on.

Owns the measurements; JSON and files belong to the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from introspect_bench.benchmark.backends.residuals import spliced_losses, window_residuals
from introspect_bench.benchmark.backends.sae import Autoencoder
from introspect_bench.benchmark.backends.target_model import TargetModel

Ids = npt.NDArray[np.int32]


@dataclass(slots=True)
class _Sums:
    """Sums over tokens of one layer."""

    error: Tensor
    """Squared errors by dimension, of capped residuals, (d_model,)."""
    first: Tensor
    """Capped residuals by dimension, (d_model,)."""
    second: Tensor
    """Their squares, (d_model,)."""
    fired: Tensor
    """Tokens on which each latent is active, int64 (n_features,)."""
    tokens: int = 0
    """Tokens seen."""
    active: int = 0
    """Active latents over all tokens."""
    capped: int = field(default=0)
    """Tokens whose residual was shortened."""


def reconstruction(
    target: TargetModel, autoencoders: dict[int, Autoencoder], ids: Ids, *, bos: int, chunk: int
) -> dict[int, dict[str, float]]:
    """Measure reconstruction and sparsity on windows.

    Args:
        target: the target model.
        autoencoders: by layer.
        ids: token ids of the windows, int32 (n, width).
        bos: token read before every window.
        chunk: windows of one forward pass.

    Returns:
        By layer: `unexplained`, sum of squared errors over the sum of squared deviations from the
        mean of these tokens, of residuals as the autoencoder is given them (capped); `l0`, mean
        number of active latents; `dead`, share of latents active on none of the tokens; `tokens`;
        `capped`, share of tokens whose residual was shortened.
    """
    sums = {layer: _zeros(autoencoder) for layer, autoencoder in autoencoders.items()}
    for part in _chunks(ids, chunk):
        read = window_residuals(target, part, bos=bos, layers=tuple(autoencoders))
        for layer, autoencoder in autoencoders.items():
            _add(sums[layer], autoencoder, read[layer].flatten(0, 1))
    found = {}
    for layer, total in sums.items():
        variance = total.second - total.first.square() / total.tokens
        found[layer] = {
            "unexplained": float(total.error.sum() / variance.sum()),
            "l0": total.active / total.tokens,
            "dead": float((total.fired == 0).double().mean()),
            "tokens": float(total.tokens),
            "capped": total.capped / total.tokens,
        }
    return found


def recovered(
    target: TargetModel, autoencoders: dict[int, Autoencoder], ids: Ids, *, bos: int, chunk: int
) -> dict[int, dict[str, float]]:
    """Measure how much of the target's loss the reconstructions keep.

    `loss recovered` = (L(ablated) - L(reconstructed)) / (L(ablated) - L(clean)), L the mean
    next-token cross-entropy with a layer's output replaced at all window positions: Bricken et al.
    2023, "Towards Monosemanticity", for ablation to zero; here also for ablation to the mean over
    these windows, which is the harder bar.

    Args:
        target: the target model.
        autoencoders: by layer.
        ids: token ids of the windows, int32 (n, width).
        bos: token read before every window.
        chunk: windows of one forward pass.

    Returns:
        By layer: `loss_clean`, `loss_reconstructed`, `loss_zero`, `loss_mean` in nats and
        `recovered_zero`, `recovered_mean`; 1 is perfect, 0 as bad as ablation.
    """
    layers = tuple(autoencoders)
    total: dict[int, Tensor] = {}
    for part in _chunks(ids, chunk):
        for layer, residuals in window_residuals(target, part, bos=bos, layers=layers).items():
            total[layer] = total.get(layer, 0.0) + residuals.double().sum(dim=(0, 1))
    means = {layer: (value / ids.size).float() for layer, value in total.items()}

    def loss(layer: int | None, replace: Callable[[Tensor], Tensor] | None) -> float:
        parts = [
            spliced_losses(target, part, bos=bos, layer=layer, replace=replace)
            for part in _chunks(ids, chunk)
        ]
        return float(torch.cat(parts).double().mean())

    clean = loss(None, None)
    found = {}
    for layer, autoencoder in autoencoders.items():
        spliced = loss(layer, autoencoder_splice(autoencoder))
        zero = loss(layer, torch.zeros_like)
        mean = loss(layer, means[layer].expand_as)
        found[layer] = {
            "loss_clean": clean,
            "loss_reconstructed": spliced,
            "loss_zero": zero,
            "loss_mean": mean,
            "recovered_zero": (zero - spliced) / (zero - clean),
            "recovered_mean": (mean - spliced) / (mean - clean),
        }
    return found


def autoencoder_splice(autoencoder: Autoencoder) -> Callable[[Tensor], Tensor]:
    """Reconstruct residuals (n, width, d_model) by an autoencoder."""
    return lambda x: autoencoder.reconstruct(x.flatten(0, 1)).view_as(x)


def _chunks(ids: Ids, chunk: int) -> Iterator[Tensor]:
    for start in range(0, len(ids), chunk):
        yield torch.from_numpy(ids[start : start + chunk].astype(np.int64))


def _zeros(autoencoder: Autoencoder) -> _Sums:
    n, width = autoencoder.encoder.shape
    device = autoencoder.encoder.device
    error, first, second = torch.zeros((3, width), dtype=torch.float64, device=device)
    fired = torch.zeros(n, dtype=torch.int64, device=device)
    return _Sums(error=error, first=first, second=second, fired=fired)


def _add(sums: _Sums, autoencoder: Autoencoder, residuals: Tensor) -> None:
    given = residuals
    if autoencoder.centring is not None:
        given = autoencoder.centring(residuals) + autoencoder.centring.mean
        lengths = (residuals - autoencoder.centring.mean).norm(dim=1)
        sums.capped += int((lengths > autoencoder.centring.cap).sum())
    activations = autoencoder.encode(residuals)
    sums.error += (given - autoencoder.decode(activations)).double().square().sum(dim=0)
    sums.first += given.double().sum(dim=0)
    sums.second += given.double().square().sum(dim=0)
    active = activations > 0
    sums.fired += active.sum(dim=0)
    sums.active += int(active.sum())
    sums.tokens += len(residuals)
