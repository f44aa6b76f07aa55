"""A sparse autoencoder as it is used: residuals to activations and back, whoever trained it.

Every autoencoder is brought to one form, in which an activation is the coefficient of a unit
direction in units of the residual stream: `x ≈ bias + activations @ directions`. So activations of
differently scaled autoencoders can be compared, and the form can be tested. Owns no file format
(`sae_formats.py`) and no training (`sae_training.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from introspect_bench.benchmark.errors import IntegrityError

CELLS = 1 << 25
"""Activations held densely at one time while encoding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Centring:
    """Takes the mean of a layer away and caps the length of what is left.

    A few tokens carry residuals a hundred times as long as all others in one or two dimensions
    (Sun et al. 2024, "Massive Activations in Large Language Models"); uncapped they alone decide
    every mean square and every correlation.
    """

    mean: Tensor
    """Mean residual, float32 (d_model,)."""
    cap: float
    """Greatest length of a centred residual; longer ones are shortened to it."""

    def __call__(self, residuals: Tensor) -> Tensor:
        """Centred and capped residuals, same shape (n, d_model)."""
        centred = residuals - self.mean
        return centred * self.factors(centred)

    def factors(self, centred: Tensor) -> Tensor:
        """What each centred residual is multiplied by, in (0, 1], shape (n, 1)."""
        lengths = centred.norm(dim=-1, keepdim=True)
        factors: Tensor = self.cap / lengths.clamp(min=self.cap)
        return factors


@dataclass(frozen=True, slots=True, kw_only=True)
class Autoencoder:
    """An encoder and unit directions; all tensors float32 on one device.

    own = relu((x - center) @ encoder.T + encoder_bias), kept where above `threshold` and among the
    `k` largest of the token; activation = own * gain.
    """

    center: Tensor
    """Subtracted from residuals before they are encoded, (d_model,)."""
    encoder: Tensor
    """(n_features, d_model)."""
    encoder_bias: Tensor
    """(n_features,)."""
    gain: Tensor
    """Own activation to units of the residual stream along the unit direction, (n_features,)."""
    directions: Tensor
    """Unit decoder directions, (n_features, d_model)."""
    bias: Tensor
    """What no active feature reconstructs, (d_model,)."""
    threshold: Tensor | None = None
    """An own activation must be greater than this, (n_features,); None for ReLU and TopK."""
    k: int | None = None
    """Features that can be active on one token; None for no limit."""
    centring: Centring | None = None
    """Caps long residuals before they are encoded; public autoencoders have none."""

    def encode(self, residuals: Tensor) -> Tensor:
        """Activations of all features, float32 (n, n_features), from residuals (n, d_model)."""
        if self.centring is not None:
            residuals = self.centring(residuals) + self.centring.mean
        own = torch.relu((residuals - self.center) @ self.encoder.T + self.encoder_bias)
        if self.threshold is not None:
            own = torch.where(own > self.threshold, own, 0.0)
        if self.k is not None and self.k < own.shape[1]:
            values, indices = own.topk(self.k, dim=1, sorted=False)
            own = torch.zeros_like(own).scatter_(1, indices, values)
        return own * self.gain

    def decode(self, activations: Tensor) -> Tensor:
        """Reconstructed residuals, float32 (n, d_model), from activations (n, n_features)."""
        return activations @ self.directions + self.bias

    def reconstruct(self, residuals: Tensor) -> Tensor:
        """Encode and decode, float32 (n, d_model); capped residuals get their length back."""
        decoded = self.decode(self.encode(residuals))
        if self.centring is None:
            return decoded
        centred = residuals - self.centring.mean
        return (decoded - self.centring.mean) / self.centring.factors(centred) + self.centring.mean

    def to(self, device: str) -> Autoencoder:
        """Move to a torch device."""
        fields = ("center", "encoder", "encoder_bias", "gain", "directions", "bias", "threshold")
        moved: dict[str, Any] = {}
        for name in fields:
            value = getattr(self, name)
            moved[name] = None if value is None else value.to(device)
        centring = self.centring
        if centring is not None:
            centring = replace(centring, mean=centring.mean.to(device))
        return replace(self, **moved, centring=centring)


def assemble(
    where: Path,
    *,
    encoder: Tensor,
    encoder_bias: Tensor,
    decoder: Tensor,
    bias: Tensor,
    center: Tensor | None = None,
    threshold: Tensor | None = None,
    k: int | None = None,
    scale: float = 1.0,
) -> Autoencoder:
    """Bring an autoencoder's weights to the common form.

    Args:
        where: named in errors.
        encoder: (n_features, d_model), for residuals times `scale`.
        encoder_bias: (n_features,).
        decoder: (n_features, d_model), to residuals times `scale`.
        bias: of the decoder, (d_model,).
        center: subtracted from residuals times `scale`, (d_model,); None for nothing.
        threshold: of own activations, (n_features,).
        k: active features of one token.
        scale: what residuals are multiplied by before encoding.

    Raises:
        IntegrityError: shapes contradict each other, or a decoder vector is zero.
    """
    n, width = encoder.shape
    shapes = {
        "encoder bias": (encoder_bias, (n,)),
        "decoder": (decoder, (n, width)),
        "decoder bias": (bias, (width,)),
        "threshold": (bias.new_zeros(n) if threshold is None else threshold, (n,)),
    }
    for name, (tensor, shape) in shapes.items():
        if tuple(tensor.shape) != shape:
            raise IntegrityError(f"{where}: {name} is {tuple(tensor.shape)}, expected {shape}")
    norms = decoder.norm(dim=1)
    if not bool((norms > 0).all()):
        raise IntegrityError(f"{where}: {int((norms == 0).sum())} decoder vectors are zero")
    return Autoencoder(
        center=torch.zeros_like(bias) if center is None else center / scale,
        encoder=encoder * scale,
        encoder_bias=encoder_bias,
        gain=norms / scale,
        directions=decoder / norms[:, None],
        bias=bias / scale,
        threshold=threshold,
        k=k,
    )


def encode_array(autoencoder: Autoencoder, residuals: np.ndarray[Any, Any]) -> Iterator[Any]:
    """Encode rows of residuals, (n, d_model), in pieces of at most `CELLS` activations.

    Yields:
        (row, column, activation) of the active features of each piece, int64, int64 and float32
        arrays of one length, rows ascending over all pieces.
    """
    rows = max(1, CELLS // len(autoencoder.directions))
    for start in range(0, len(residuals), rows):
        piece = torch.from_numpy(np.ascontiguousarray(residuals[start : start + rows]))
        with torch.inference_mode():
            dense = autoencoder.encode(piece.float().to(autoencoder.encoder.device)).cpu()
        where = dense.nonzero(as_tuple=True)
        yield where[0].numpy() + start, where[1].numpy(), dense[where].numpy()
