"""Trains and runs autoencoders of what a token table leaves of residuals.

The step is that of `train.py`. A feature's activation needs its own row alone: no other
latent competes for a place among the k largest, so it can be computed again from one row, one bias
and one threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ..models.target_model import TargetModel
from .train import Centring, StepSettings, Trainee

ROWS = 8192
"""Residuals encoded at a time."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizedSettings:
    """How one autoencoder is trained."""

    latents: int = 4096
    """Features."""
    k: int = 32
    """Features active at a token while training."""
    epochs: int = 6
    """Times that the text is read."""
    batch: int = 1024
    """Tokens of one step."""
    learning_rate: float = 2e-3
    """Of Adam, after the warm-up."""
    warmup: float = 0.05
    """Share of the steps over which it rises from 0."""
    decay: float = 0.2
    """Share of the steps at the end over which it falls to 0."""
    dead_after: int = 100_000
    """Tokens without firing after which a latent counts as dead."""
    auxiliary: float = 1 / 32
    """Weight of the auxiliary loss that revives dead latents."""


def input_embeddings(target: TargetModel) -> Floats:
    """Return the target's input embeddings, float32 (vocabulary, d_embedding)."""
    weight: Floats = target.model.get_input_embeddings().weight.detach().float().cpu().numpy()
    return weight


def train_tokenized(
    left: Floats,
    settings: TokenizedSettings,
    *,
    rng: np.random.Generator,
    report: Callable[[int, float], None],
) -> dict[str, Floats]:
    """Train one autoencoder.

    Args:
        left: what the table leaves of residuals, (n, d_model).
        settings: how.
        rng: draws initial weights and the order of tokens.
        report: told after every hundredth step: the step and the unexplained share of its batch.

    Returns:
        `encoder` (latents, d_model), `encoder_bias` (latents,), `center` (d_model,), `gain`
        (latents,) and unit `directions` (latents, d_model): a coefficient is
        relu((left - center) @ encoder.T + encoder_bias) * gain, and left is nearly
        center + coefficients @ directions.

    Raises:
        MissingPartError: sparsify is not installed.
    """
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    trainee = Trainee(
        left.shape[1],
        settings.latents,
        settings.k,
        generator=generator,
        device=torch.device("cpu"),
    )
    # centred and capped already, by the table
    trainee.centring = Centring(mean=torch.zeros(left.shape[1]), cap=1e9)
    trainee.scale = float(np.sqrt(np.square(left).mean(dtype=np.float64)))
    step = StepSettings(dead_after=settings.dead_after, auxiliary=settings.auxiliary)
    a_pass = len(left) // settings.batch
    total = a_pass * settings.epochs
    for number in range(total):
        place = number % a_pass
        if not place:
            order = rng.permutation(len(left))
        rows = np.sort(order[place * settings.batch : (place + 1) * settings.batch])
        rise = (number + 1) / max(1.0, settings.warmup * total)
        fall = (total - number) / max(1.0, settings.decay * total)
        rate = settings.learning_rate * min(1.0, rise, fall)
        result = trainee.step(torch.from_numpy(left[rows]), rate, step)
        if not (number + 1) % 100 or number + 1 == total:
            report(number + 1, result.unexplained)
    return _arrays(trainee)


def _arrays(trainee: Trainee) -> dict[str, Floats]:
    weights = trainee.weights()
    decoder = weights["W_dec"]
    norms = decoder.norm(dim=1)
    tensors = {
        "encoder": weights["encoder.weight"],
        "encoder_bias": weights["encoder.bias"],
        "center": weights["b_dec"],
        "gain": norms,
        "directions": decoder / norms[:, None],
    }
    return {name: np.ascontiguousarray(value.numpy()) for name, value in tensors.items()}


def coefficients(
    left: Floats, weights: dict[str, Floats], thresholds: Floats | None = None
) -> Iterator[tuple[int, npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]]:
    """Encode what a table leaves of residuals.

    Args:
        left: (n, d_model).
        weights: from `train_tokenized`.
        thresholds: coefficients below them are 0, (latents,); all positive ones stay if None.

    Yields:
        For each piece of at most `ROWS` residuals the place of its first row, and rows, columns
        and values of what is not 0: int64, int64 and float32 arrays of one length.
    """
    encoder = torch.from_numpy(weights["encoder"] * weights["gain"][:, None])
    bias = weights["encoder_bias"] - weights["encoder"] @ weights["center"]
    offset = torch.from_numpy(bias * weights["gain"])
    least = torch.zeros(len(encoder)) if thresholds is None else torch.from_numpy(thresholds)
    for start in range(0, len(left), ROWS):
        with torch.inference_mode():
            piece = torch.from_numpy(np.ascontiguousarray(left[start : start + ROWS]))
            dense = torch.addmm(offset, piece, encoder.T)
            where = ((dense > 0) & (dense >= least)).nonzero(as_tuple=True)
            yield start, where[0].numpy(), where[1].numpy(), dense[where].numpy()


def top_coefficients(left: Floats, weights: dict[str, Floats], count: int) -> Floats:
    """Return the largest coefficients of every latent, descending, (latents, count)."""
    encoder = torch.from_numpy(weights["encoder"] * weights["gain"][:, None])
    bias = weights["encoder_bias"] - weights["encoder"] @ weights["center"]
    offset = torch.from_numpy(bias * weights["gain"])
    best = torch.zeros((len(encoder), count))
    for start in range(0, len(left), ROWS):
        with torch.inference_mode():
            piece = torch.from_numpy(np.ascontiguousarray(left[start : start + ROWS]))
            dense = torch.addmm(offset, piece, encoder.T).relu_()
            own = dense.topk(min(count, len(dense)), dim=0).values.T
            best = torch.cat([best, own], dim=1).topk(count, dim=1).values
    return best.numpy()
