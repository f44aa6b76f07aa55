"""A run of training: the target and one trainee for each layer, driven chunk by chunk.

Owns moving arrays to tensors and the bytes of checkpoints and results. The order of the text and
where bytes are kept belong to the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from introspect_bench.benchmark.backends.residuals import window_residuals
from introspect_bench.benchmark.backends.sae_training import StepSettings, Trainee
from introspect_bench.benchmark.backends.target_model import TargetModel
from introspect_bench.benchmark.errors import IntegrityError

Ids = npt.NDArray[np.int32]


class SaeRun:
    """Autoencoders of some layers in training."""

    def __init__(
        self, target: TargetModel, layers: Sequence[int], latents: int, k: int, seed: int
    ) -> None:
        """Start new autoencoders; each layer's depends on the seed and the layer alone.

        Raises:
            MissingPartError: sparsify is not installed.
        """
        self._target = target
        self._trainees: dict[int, Trainee] = {}
        for layer in layers:
            drawn = np.random.default_rng((seed, layer)).integers(2**63)
            generator = torch.Generator().manual_seed(int(drawn))
            self._trainees[layer] = Trainee(
                target.d_model, latents, k, generator=generator, device=target.device
            )

    def calibrate(self, chunks: Sequence[Ids], *, bos: int) -> None:
        """Fix every layer's mean, cap and scale from chunks of windows, int32 (n, width) each."""
        read = [self._read(ids, bos) for ids in chunks]
        for layer, trainee in self._trainees.items():
            trainee.calibrate(torch.cat([residuals[layer] for residuals in read]))

    def chunk(
        self,
        ids: Ids,
        batches: npt.NDArray[np.int64],
        rates: Sequence[float],
        *,
        bos: int,
        dead_after: int,
        auxiliary: float,
    ) -> dict[int, float]:
        """Read windows once and train every layer on them.

        Args:
            ids: token ids, int32 (n, width).
            batches: which of the n * width tokens form each batch, (n_batches, batch).
            rates: learning rate of each batch.
            bos: token read before every window.
            dead_after: tokens without firing after which a latent counts as dead.
            auxiliary: weight of the auxiliary loss.

        Returns:
            For each layer the unexplained share of variance of the last batch.
        """
        settings = StepSettings(dead_after=dead_after, auxiliary=auxiliary)
        read = self._read(ids, bos)
        found = {}
        for layer, trainee in self._trainees.items():
            for places, rate in zip(torch.from_numpy(batches), rates, strict=True):
                batch = read[layer][places.to(self._target.device)]
                found[layer] = trainee.step(batch, rate, settings).unexplained
        return found

    def dump(self, note: str) -> bytes:
        """Everything that the next chunk depends on, as safetensors, with a note."""
        tensors = {
            f"{layer}/{name}": tensor.cpu().contiguous()
            for layer, trainee in self._trainees.items()
            for name, tensor in trainee.state().items()
        }
        return save(tensors, {"note": note})  # one key: several are written in no fixed order

    def load(self, path: Path) -> str:
        """Continue from a dump; returns its note.

        Raises:
            IntegrityError: it is damaged, or of other autoencoders.
        """
        try:
            with safe_open(path, framework="pt") as file:
                note: str = (file.metadata() or {}).get("note", "")
                names = list(file.keys())
                for layer, trainee in self._trainees.items():
                    mine = [name for name in names if name.startswith(f"{layer}/")]
                    trainee.restore(
                        {name.partition("/")[2]: file.get_tensor(name) for name in mine}
                    )
        except SafetensorError as error:
            raise IntegrityError(f"{path}: not a safetensors file: {error}") from error
        if not note:
            raise IntegrityError(f"{path}: not a checkpoint; remove it to begin again")
        return note

    def result(self, layer: int) -> tuple[Mapping[str, Any], bytes, bytes]:
        """A layer's sparsify configuration, weights, and mean and cap, as they are stored."""
        trainee = self._trainees[layer]
        config = {**trainee.coder.cfg.to_dict(), "d_in": self._target.d_model}
        weights = {name: value.contiguous() for name, value in trainee.weights().items()}
        centring = {
            "mean": trainee.centring.mean.cpu(),
            "cap": torch.tensor(trainee.centring.cap, dtype=torch.float32),
        }
        return config, save(weights), save(centring)

    def _read(self, ids: Ids, bos: int) -> dict[int, Tensor]:
        tokens = torch.from_numpy(ids.astype(np.int64))
        read = window_residuals(self._target, tokens, bos=bos, layers=tuple(self._trainees))
        return {layer: residuals.flatten(0, 1) for layer, residuals in read.items()}
