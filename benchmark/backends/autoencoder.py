"""Trains and runs TopK autoencoders of what a token table leaves of residuals.

The trained module, its initial form and decoder norm are sparsify's `SparseCoder` (package
`eai-sparsify`, extra `build`). The step is here: the same loss with the gradient computed from the
k active latents alone, without (n, k, d_model) intermediates, and the auxiliary loss of Gao et al.
2024, "Scaling and evaluating sparse autoencoders", section 2.2 and appendix A.2. Once trained, no
latent competes with others: a coefficient needs one row, one bias and one threshold.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, linear

from ..errors import MissingPartError
from .models.target_model import TargetModel

ROWS = 8192  # residuals encoded at a time

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizedSettings:
    """How one autoencoder is trained."""

    latents: int = 4096  # features
    k: int = 32  # features active at a token while training
    epochs: int = 6  # times that the text is read
    batch: int = 1024  # tokens of one step
    learning_rate: float = 2e-3  # of Adam, after the warm-up
    warmup: float = 0.05  # share of the steps over which it rises from 0
    decay: float = 0.2  # share of the steps at the end over which it falls to 0
    dead_after: int = 100_000  # tokens without firing after which a latent counts as dead
    auxiliary: float = 1 / 32  # weight of the auxiliary loss that revives dead latents


class Trainee:
    """One layer's autoencoder and its optimiser."""

    def __init__(self, width: int, latents: int, k: int, *, generator: torch.Generator) -> None:
        """Start with random unit decoder vectors and the encoder equal to the decoder."""
        self.coder = make_coder(width, latents, k)
        with torch.no_grad():
            drawn = torch.randn((latents, width), generator=generator)
            self.coder.W_dec.copy_(drawn / drawn.norm(dim=1, keepdim=True))
            self.coder.encoder.weight.copy_(self.coder.W_dec)
        self.optimiser = torch.optim.Adam(self.parameters().values(), lr=0.0, fused=True)
        self.since_fired = torch.zeros(latents, dtype=torch.int64)
        self.scale = 1.0
        """What residuals are divided by: their root mean square."""

    def parameters(self) -> dict[str, Tensor]:
        """The module's parameters by sparsify's names."""
        named = dict(self.coder.named_parameters())
        return {name: named[name] for name in ("encoder.weight", "encoder.bias", "W_dec", "b_dec")}

    def step(self, residuals: Tensor, rate: float, *, dead_after: int, auxiliary: float) -> float:
        """Train on one batch of residuals, float32 (n, d_model), with a learning rate.

        Returns the share of the batch's variance that was not reconstructed.
        """
        coder, inputs = self.coder, residuals / self.scale
        encode: Any = _Encode.apply
        values, indices = encode(
            inputs, coder.b_dec, coder.encoder.weight, coder.encoder.bias, coder.cfg.k
        )
        decoded = _decode(values, indices, coder.W_dec) + coder.b_dec
        error = inputs - decoded
        variance = (inputs - inputs.mean(dim=0)).square().sum()
        unexplained = error.square().sum() / variance
        dead = self.since_fired >= dead_after
        loss = unexplained
        if dead.any():
            loss = loss + auxiliary * self._auxiliary(inputs, error.detach(), dead)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        coder.remove_gradient_parallel_to_decoder_directions()
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        coder.set_decoder_norm_to_unit_norm()
        self.since_fired += len(inputs)
        self.since_fired[indices[values.detach() > 0]] = 0
        return float(unexplained.detach())

    def _auxiliary(self, inputs: Tensor, error: Tensor, dead: Tensor) -> Tensor:
        """How badly the strongest dead latents reconstruct the error, as a share of it."""
        coder = self.coder
        places = dead.nonzero()[:, 0]
        scores = torch.relu(
            linear(inputs - coder.b_dec, coder.encoder.weight[places], coder.encoder.bias[places])
        )
        values, indices = scores.topk(min(inputs.shape[1] // 2, len(places)), dim=1, sorted=False)
        decoded = _decode(values, indices, coder.W_dec[places])
        return (error - decoded).square().sum() / error.square().sum()

    def arrays(self) -> dict[str, Floats]:
        """The weights for residuals as they are, as `train_tokenized` returns them."""
        named = {name: value.detach() for name, value in self.parameters().items()}
        decoder = named["W_dec"] * self.scale
        norms = decoder.norm(dim=1)
        tensors = {
            "encoder": named["encoder.weight"] / self.scale,
            "encoder_bias": named["encoder.bias"],
            "center": named["b_dec"] * self.scale,
            "gain": norms,
            "directions": decoder / norms.clamp_min(1e-12)[:, None],  # a zero row is never active
        }
        return {name: value.numpy().copy() for name, value in tensors.items()}


def make_coder(width: int, latents: int, k: int) -> Any:
    """Make sparsify's `SparseCoder`, leaving torch's random state as it was."""
    try:
        # it prints a line when triton is missing, and standard output belongs to the command
        with contextlib.redirect_stdout(io.StringIO()):
            from sparsify import SparseCoder, SparseCoderConfig
    except ImportError as error:
        raise MissingPartError(
            "training needs sparsify; install it with pip install 'introspect-bench[build]'"
        ) from error
    with torch.random.fork_rng(devices=[]):
        return SparseCoder(width, SparseCoderConfig(num_latents=latents, k=k))


def _decode(values: Tensor, indices: Tensor, decoder: Tensor) -> Tensor:
    """Sum of the chosen rows of `decoder` by `values`, (n, d_model)."""
    return embedding_bag(indices, decoder, per_sample_weights=values, mode="sum")


class _Encode(torch.autograd.Function):
    """TopK of relu(linear(x - center)), with gradients through the k active latents only.

    All sums go through `embedding_bag`, so nothing of size (n, k, d_model) or (n, latents) is made
    in the backward pass.
    """

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, center: Tensor, weight: Tensor, bias: Tensor, k: int
    ) -> tuple[Tensor, Tensor]:
        """Values and indices of the k largest activations, (n, k) each."""
        centred = inputs - center
        values, indices = linear(centred, weight, bias).topk(k, dim=1, sorted=False)
        values = values.relu()
        ctx.save_for_backward(centred, weight, values, indices)
        ctx.mark_non_differentiable(indices)
        return values, indices

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of center, weight and bias; the inputs are data."""
        centred, weight, values, indices = ctx.saved_tensors
        own = torch.where(values > 0, gradients[0], 0.0).flatten()
        latents = len(weight)
        flat = indices.flatten()
        order = flat.argsort(stable=True)
        counts = torch.bincount(flat, minlength=latents)
        weight_gradient = embedding_bag(
            order // indices.shape[1],
            centred,
            offsets=torch.cat([counts.new_zeros(1), counts.cumsum(0)]),
            per_sample_weights=own[order],
            mode="sum",
            include_last_offset=True,
        )
        bias_gradient = torch.zeros_like(weight[:, 0]).index_add_(0, flat, own)
        return None, -(bias_gradient @ weight), weight_gradient, bias_gradient, None


def input_embeddings(target: TargetModel) -> Floats:
    """The target's input embeddings, float32 (vocabulary, d_embedding)."""
    weight: Floats = target.model.get_input_embeddings().weight.detach().float().cpu().numpy()
    return weight


def train_tokenized(
    left: Floats, settings: TokenizedSettings, *, rng: np.random.Generator
) -> dict[str, Floats]:
    """Train one autoencoder of what a table leaves of residuals, (n, d_model).

    Returns `encoder` (latents, d_model), `encoder_bias` (latents,), `center` (d_model,), `gain`
    (latents,) and unit `directions` (latents, d_model): a coefficient is relu((left - center) @
    encoder.T + encoder_bias) * gain, and left is nearly center + coefficients @ directions.
    """
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    trainee = Trainee(left.shape[1], settings.latents, settings.k, generator=generator)
    trainee.scale = float(np.sqrt(np.square(left).mean(dtype=np.float64)))
    a_pass = len(left) // settings.batch
    total = a_pass * settings.epochs
    for number in range(total):
        place = number % a_pass
        if not place:
            order = rng.permutation(len(left))
        rows = np.sort(order[place * settings.batch : (place + 1) * settings.batch])
        rise = (number + 1) / max(1.0, settings.warmup * total)
        fall = (total - number) / max(1.0, settings.decay * total)
        trainee.step(
            torch.from_numpy(left[rows]),
            settings.learning_rate * min(1.0, rise, fall),
            dead_after=settings.dead_after,
            auxiliary=settings.auxiliary,
        )
    return trainee.arrays()


def _encoded(left: Floats, weights: dict[str, Floats]) -> Iterator[tuple[int, Tensor]]:
    """Pieces of at most `ROWS` residuals: place of the first, and coefficients of any sign."""
    encoder = torch.from_numpy(weights["encoder"] * weights["gain"][:, None])
    bias = weights["encoder_bias"] - weights["encoder"] @ weights["center"]
    offset = torch.from_numpy(bias * weights["gain"])
    for start in range(0, len(left), ROWS):
        piece = torch.from_numpy(np.ascontiguousarray(left[start : start + ROWS]))
        yield start, torch.addmm(offset, piece, encoder.T)


def coefficients(
    left: Floats, weights: dict[str, Floats], thresholds: Floats
) -> Iterator[tuple[int, npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]]:
    """Rows, columns and values of what is not 0 or below `thresholds`, behind a piece's start."""
    least = torch.from_numpy(thresholds)
    for start, dense in _encoded(left, weights):
        where = ((dense > 0) & (dense >= least)).nonzero(as_tuple=True)
        yield start, where[0].numpy(), where[1].numpy(), dense[where].numpy()


def top_coefficients(left: Floats, weights: dict[str, Floats], count: int) -> Floats:
    """The largest coefficients of every latent, descending, (latents, count)."""
    best = torch.zeros((len(weights["encoder"]), count))
    for _, dense in _encoded(left, weights):
        own = dense.relu_().topk(min(count, len(dense)), dim=0).values.T
        best = torch.cat([best, own], dim=1).topk(count, dim=1).values
    return best.numpy()
