"""Trains one TopK autoencoder a layer on a stream of windows, and goes on where it was killed.

Owns the order of the windows, the learning rate, checkpoints and the folders written. Nothing is
cached: one forward pass gives all layers, and because windows are short and read alone, a random
order of windows mixes the text as a shuffle buffer of activations would. Same seed, machine and
number of threads: same bytes, whether or not the run was interrupted.

Written under the folder: `checkpoint.safetensors` while training; then for each layer
`layers.<L>/cfg.json` and `sae.safetensors` in sparsify's format, `centring.safetensors` (mean and
cap) and at last `training.json`, whose presence means that training is done.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.files import (
    canonical_json,
    read_json,
    sha256_bytes,
    write_bytes_atomic,
    write_json_atomic,
)
from introspect_bench.tasks.feature_descriptions.windows import WINDOW

Ids = npt.NDArray[np.int32]
Report = Callable[[int, Mapping[int, float]], None]
"""Told the tokens trained on and, for each layer, the unexplained share of its last batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaeSettings:
    """What is trained; all of it is compared with a checkpoint before going on from it."""

    layers: tuple[int, ...]
    """0-based decoder layers, one autoencoder each."""
    latents: int = 4096
    """Features of each autoencoder."""
    k: int = 32
    """Active features of one token."""
    tokens: int = 2_000_000
    """Tokens to train on, rounded up to whole chunks; more than the corpus has are read again."""
    chunk: int = 128
    """Windows of one forward pass."""
    batch: int = 1024
    """Tokens of one step; must divide the tokens of a chunk."""
    rate: float = 2e-3
    """Learning rate of Adam after the warm-up."""
    warmup: float = 0.05
    """Share of the steps over which the learning rate rises from 0."""
    decay: float = 0.2
    """Share of the steps at the end over which it falls to 0."""
    dead_after: int = 100_000
    """Tokens without firing after which a latent counts as dead."""
    auxiliary: float = 1 / 32
    """Weight of the auxiliary loss that revives dead latents."""
    calibration: int = 8
    """Chunks that fix mean, cap and scale; they are trained on too."""
    seed: int = 0
    """Chooses initial weights and the order of windows and tokens."""

    def __post_init__(self) -> None:
        """Check that the sizes fit.

        Raises:
            UsageError: they do not.
        """
        if self.chunk * WINDOW % self.batch:
            raise UsageError(f"batches of {self.batch} tokens do not fill {self.chunk} windows")
        if not self.layers or not 0 < self.k <= self.latents or self.tokens < 1:
            raise UsageError("needs a layer, 0 < k <= latents and a positive number of tokens")

    @property
    def n_chunks(self) -> int:
        """Forward passes in all."""
        return -(-self.tokens // (self.chunk * WINDOW))

    @property
    def n_steps(self) -> int:
        """Training steps in all."""
        return self.n_chunks * (self.chunk * WINDOW // self.batch)

    def rate_at(self, step: int) -> float:
        """Learning rate of a step, from 0: rises linearly, stays, falls linearly."""
        rise = (step + 1) / max(1.0, self.warmup * self.n_steps)
        fall = (self.n_steps - step) / max(1.0, self.decay * self.n_steps)
        return self.rate * min(1.0, rise, fall)


def chunk_rows(n_windows: int, settings: SaeSettings, number: int) -> npt.NDArray[np.int64]:
    """Rows of the windows of a chunk: each pass over the corpus is one random order of it.

    Raises:
        UsageError: the corpus has fewer windows than a chunk.
    """
    a_pass = n_windows // settings.chunk
    if not a_pass:
        raise UsageError(f"{n_windows} windows do not fill a chunk of {settings.chunk}")
    epoch, place = divmod(number, a_pass)
    order = np.random.default_rng((settings.seed, epoch)).permutation(n_windows)
    return order[place * settings.chunk : (place + 1) * settings.chunk]


def train(
    target: Any,
    ids: Ids,
    settings: SaeSettings,
    folder: Path,
    *,
    bos: int,
    save_every: int = 40,
    report: Report = lambda _tokens, _unexplained: None,
) -> dict[int, Path]:
    """Train, or go on training, or find it done.

    Args:
        target: the target model (`benchmark.backends.target_model.TargetModel`), float32.
        ids: token ids of the training windows, int32 (n_windows, 32).
        settings: what is trained.
        folder: where checkpoints and results are kept.
        bos: token read before every window.
        save_every: chunks between two checkpoints.
        report: told after every chunk.

    Returns:
        The folder of each layer's autoencoder.

    Raises:
        UsageError: `folder` holds a run with other settings, text or target, or the target has
            no such layer.
        MissingPartError: sparsify is not installed, or the disk is full.
        IntegrityError: the checkpoint is damaged.
    """
    from introspect_bench.benchmark.backends.sae_run import SaeRun

    identity = _identity(target, ids, settings, bos)
    done = folder / "training.json"
    if done.is_file():
        _same(read_json(done)["identity"], identity, done)
        return _folders(folder, settings)
    checkpoint = folder / "checkpoint.safetensors"
    run = SaeRun(target, settings.layers, settings.latents, settings.k, settings.seed)
    at = 0
    if checkpoint.is_file():
        note = run.load(checkpoint)
        saved = json.loads(note)
        _same(saved["identity"], identity, checkpoint)
        at = saved["chunk"]
    else:
        first = range(min(settings.calibration, settings.n_chunks))
        run.calibrate([ids[chunk_rows(len(ids), settings, number)] for number in first], bos=bos)
    curve: dict[int, float] = {}
    for number in range(at, settings.n_chunks):
        rows = chunk_rows(len(ids), settings, number)
        curve = _chunk(run, ids[rows], settings, number, bos)
        report((number + 1) * settings.chunk * WINDOW, curve)
        if (number + 1) % save_every == 0:
            note = canonical_json({"identity": identity, "chunk": number + 1})
            write_bytes_atomic(checkpoint, run.dump(note))
    _write(run, settings, folder)
    write_json_atomic(done, {"identity": identity, "settings": asdict(settings)})
    checkpoint.unlink(missing_ok=True)
    return _folders(folder, settings)


def _chunk(run: Any, ids: Ids, settings: SaeSettings, number: int, bos: int) -> dict[int, float]:
    n_tokens = settings.chunk * WINDOW
    # its own stream: nothing else draws from it, so a resumed run draws the same
    order = np.random.default_rng((settings.seed, number, 1)).permutation(n_tokens)
    batches = order.reshape(-1, settings.batch)
    first = number * len(batches)
    rates = [settings.rate_at(first + place) for place in range(len(batches))]
    unexplained: dict[int, float] = run.chunk(
        ids,
        batches,
        rates,
        bos=bos,
        dead_after=settings.dead_after,
        auxiliary=settings.auxiliary,
    )
    return unexplained


def _write(run: Any, settings: SaeSettings, folder: Path) -> None:
    for layer, path in _folders(folder, settings).items():
        config, weights, centring = run.result(layer)
        write_bytes_atomic(path / "sae.safetensors", weights)
        write_bytes_atomic(path / "centring.safetensors", centring)
        write_json_atomic(path / "cfg.json", config)


def _folders(folder: Path, settings: SaeSettings) -> dict[int, Path]:
    return {layer: folder / f"layers.{layer}" for layer in settings.layers}


def _identity(target: Any, ids: Ids, settings: SaeSettings, bos: int) -> str:
    if not 0 <= min(settings.layers) <= max(settings.layers) < target.n_layers:
        raise UsageError(f"layers {settings.layers}: the target has 0 to {target.n_layers - 1}")
    # the deepest layer read stands for the target's weights
    weights = target.modules[max(settings.layers)].named_parameters()
    parts = {
        "settings": asdict(settings) | {"layers": list(settings.layers)},
        "ids": sha256_bytes(np.ascontiguousarray(ids).tobytes()),
        "bos": bos,
        "weights": {
            name: sha256_bytes(value.detach().float().cpu().numpy().tobytes())
            for name, value in weights
        },
    }
    return sha256_bytes(canonical_json(parts).encode())


def _same(found: object, expected: str, path: Path) -> None:
    if not isinstance(found, str):
        raise IntegrityError(f"{path}: no identity")
    if found != expected:
        raise UsageError(f"{path} is of other settings, text or target; give another folder")
