"""Trains TopK autoencoders on residuals as they come: one trainee a layer, one step a batch.

The trained module, its initial form, decoder norm and files are sparsify's `SparseCoder` (package
`eai-sparsify`, extra `build`). Its own trainer owns the model loop, its backward pass builds
(n, k, d_model) intermediates, and its auxiliary loss does not reach the encoder, so the step is
here: the same loss with the gradient computed from the k active latents alone, and the auxiliary
loss of Gao et al. 2024, "Scaling and evaluating sparse autoencoders", section 2.2 and appendix A.2.
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, linear

from ...errors import MissingPartError

PARAMETERS = ("encoder.weight", "encoder.bias", "W_dec", "b_dec")
"""Names of the module's parameters."""
CAP = 3.0
"""Cap of a centred residual's length, in median lengths."""


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
class StepSettings:
    """What a step needs to know."""

    dead_after: int
    """Tokens without firing after which a latent counts as dead."""
    auxiliary: float
    """Weight of the auxiliary loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What a step saw."""

    unexplained: float
    """Fraction of the batch's variance that was not reconstructed."""
    dead: int
    """Latents that were dead before the step."""


class Trainee:
    """One layer's autoencoder, its optimiser and its normalisation."""

    def __init__(
        self, width: int, latents: int, k: int, *, generator: torch.Generator, device: torch.device
    ) -> None:
        """Start with random unit decoder vectors and the encoder equal to the decoder.

        Args:
            width: d_model.
            latents: number of features.
            k: active features of one token.
            generator: CPU generator that draws the decoder vectors.
            device: where to train.

        Raises:
            MissingPartError: sparsify is not installed.
        """
        self.coder = make_coder(width, latents, k)
        with torch.no_grad():
            drawn = torch.randn((latents, width), generator=generator)
            self.coder.W_dec.copy_(drawn / drawn.norm(dim=1, keepdim=True))
            self.coder.encoder.weight.copy_(self.coder.W_dec)
        self.coder.to(device)
        self.optimiser = torch.optim.Adam(
            [parameter for _, parameter in self.parameters()], lr=0.0, fused=True
        )
        self.since_fired = torch.zeros(latents, dtype=torch.int64, device=device)
        self.centring = Centring(mean=torch.zeros(width, device=device), cap=1.0)
        self.scale = 1.0

    def parameters(self) -> list[tuple[str, Tensor]]:
        """The module's parameters by name, in the order of `PARAMETERS`."""
        named = dict(self.coder.named_parameters())
        return [(name, named[name]) for name in PARAMETERS]

    def calibrate(self, residuals: Tensor) -> None:
        """Fix mean, cap and scale from residuals, float32 (n, d_model).

        The scale makes the root mean square length of what is trained on sqrt(d_model).
        """
        # the mean of residuals whose excess is capped about the median, so that the few very long
        # ones do not move it
        middle = residuals.median(dim=0).values
        cap = CAP * float((residuals - middle).norm(dim=1).median())
        mean = middle + Centring(mean=middle, cap=cap)(residuals).mean(dim=0)
        self.centring = Centring(mean=mean, cap=cap)
        self.scale = float(self.centring(residuals).square().mean().sqrt())

    def step(self, residuals: Tensor, rate: float, settings: StepSettings) -> StepResult:
        """Train on one batch of residuals, float32 (n, d_model), with a learning rate."""
        coder = self.coder
        inputs = self.centring(residuals) / self.scale
        encode: Any = _Encode.apply
        values, indices = encode(
            inputs, coder.b_dec, coder.encoder.weight, coder.encoder.bias, coder.cfg.k
        )
        decoded = _decode(values, indices, coder.W_dec) + coder.b_dec
        error = inputs - decoded
        variance = (inputs - inputs.mean(dim=0)).square().sum()
        unexplained = error.square().sum() / variance
        dead = self.since_fired >= settings.dead_after
        n_dead = int(dead.sum())
        loss = unexplained
        if n_dead:
            loss = loss + settings.auxiliary * self._auxiliary(inputs, error.detach(), dead)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        coder.remove_gradient_parallel_to_decoder_directions()
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        coder.set_decoder_norm_to_unit_norm()
        self.since_fired += len(inputs)
        self.since_fired[indices[values.detach() > 0]] = 0
        return StepResult(unexplained=float(unexplained.detach()), dead=n_dead)

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

    def weights(self) -> dict[str, Tensor]:
        """The module's weights for residuals as they are, by sparsify's names, on the CPU.

        Mean and scale are folded in, so `SparseCoder` encodes raw residuals to the same
        activations; its decoder vectors then have the length `scale`.
        """
        named = {name: value.detach().cpu() for name, value in self.parameters()}
        return {
            "encoder.weight": named["encoder.weight"] / self.scale,
            "encoder.bias": named["encoder.bias"].clone(),
            "W_dec": named["W_dec"] * self.scale,
            "b_dec": self.centring.mean.cpu() + named["b_dec"] * self.scale,
        }


def make_coder(width: int, latents: int, k: int) -> Any:
    """Make sparsify's `SparseCoder`, leaving torch's random state as it was.

    Raises:
        MissingPartError: sparsify is not installed.
    """
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

    All sums go through `embedding_bag`, forwards over tokens and backwards over latents, so nothing
    of size (n, k, d_model) or (n, latents) is made in the backward pass.
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
