"""Features of a target: unit directions of its residual stream, and how strongly each is active.

Owns the one interface that the rest of the task knows, `FeatureSource`, and its three kinds: sparse
autoencoders trained here, public ones by name, and plain vectors (full activations and activation
differences). Every activation is in units of the residual stream along a unit direction. Reads no
text and runs no target.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from introspect_bench.benchmark.errors import MissingPartError, UsageError

Floats = npt.NDArray[np.float32]
Activations: TypeAlias = Any
"""(n, n_features) float32: `scipy.sparse.csr_array` from autoencoders, an array from vectors."""

RELEASES = {
    "llama-scope-8x": ("fnlp/Llama3_1-8B-Base-LXR-8x", "Llama3_1-8B-Base-L{}R-8x"),
    "llama-scope-32x": ("fnlp/Llama3_1-8B-Base-LXR-32x", "Llama3_1-8B-Base-L{}R-32x"),
    "gemma-scope-2b": ("google/gemma-scope-2b-pt-res", "{}"),
    "gemma-scope-9b": ("google/gemma-scope-9b-pt-res", "{}"),
}
"""Short names: the hub id, and its folders, with a place for what the name ends with."""

_NAME = re.compile(
    r"(?P<release>[\w.-]+(?:/[\w.-]+)?)@(?P<commit>[0-9a-f]{40}):(?P<folder>[\w./=-]+)"
)
_FILES = ("*.json", "*.safetensors", "*.npz")


class FeatureSource(Protocol):
    """Directions at one layer and their activations."""

    @property
    def name(self) -> str:
        """Where the features come from."""
        ...

    @property
    def layer(self) -> int:
        """0-based decoder layer whose output is read."""
        ...

    @property
    def directions(self) -> Floats:
        """Unit vectors, float32 (n_features, d_model)."""
        ...

    def encode(self, residuals: Floats) -> Activations:
        """Activations float32 (n, n_features) of residuals float32 (n, d_model)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SaeFeatures:
    """Features of a sparse autoencoder; activations are never negative, most are 0."""

    name: str
    """Folder or public name of the autoencoder."""
    layer: int
    """0-based decoder layer whose output is read."""
    directions: Floats
    """Unit decoder directions, float32 (n_features, d_model)."""
    autoencoder: Any
    """`benchmark.backends.sae.Autoencoder`."""

    def encode(self, residuals: Floats) -> Activations:
        """Activations as `csr_array` float32 (n, n_features) of residuals float32 (n, d_model).

        An activation is the feature's coefficient: the autoencoder reconstructs a residual as its
        bias plus `activations @ directions`.
        """
        from scipy.sparse import csr_array

        from introspect_bench.benchmark.backends.sae import encode_array

        pieces = list(encode_array(self.autoencoder, residuals))
        rows, columns, values = (
            np.concatenate([piece[part] for piece in pieces] or [np.zeros(0, np.int64)])
            for part in range(3)
        )
        shape = (len(residuals), len(self.directions))
        return csr_array((values.astype(np.float32), (rows, columns)), shape=shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorFeatures:
    """Features that are vectors; an activation is a projection and has a sign.

    activation = (x - mean) · direction, where a centred residual longer than `cap` is shortened to
    it first, as it is for the autoencoders trained here.
    """

    name: str
    """`full activation` or `activation difference`."""
    layer: int
    """0-based decoder layer whose output is read."""
    directions: Floats
    """Unit vectors, float32 (n_features, d_model)."""
    mean: Floats
    """Mean residual of the layer, float32 (d_model,)."""
    cap: float
    """Greatest length of a centred residual."""

    def encode(self, residuals: Floats) -> Activations:
        """Projections, array float32 (n, n_features), of residuals float32 (n, d_model)."""
        return _centred(residuals, self.mean, self.cap) @ self.directions.T


def full_activations(vectors: Floats, *, layer: int, mean: Floats, cap: float) -> VectorFeatures:
    """Residuals at one token each, as features: the direction is the centred residual's.

    Without centring all directions of a layer would be much alike, since they share its mean.

    Args:
        vectors: residuals, float32 (n_features, d_model).
        layer: 0-based decoder layer they were read after.
        mean: mean residual of the layer, float32 (d_model,), from `centring`.
        cap: greatest length of a centred residual, from `centring`.

    Raises:
        UsageError: a vector equals the mean.
    """
    return VectorFeatures(
        name="full activation", layer=layer, directions=_unit(vectors - mean), mean=mean, cap=cap
    )


def activation_differences(
    first: Floats, second: Floats, *, layer: int, mean: Floats, cap: float
) -> VectorFeatures:
    """Differences of residuals of matched prompts, as features, from the second to the first.

    Args:
        first: residuals, float32 (n_features, d_model).
        second: residuals of the matched prompts, same shape.
        layer: 0-based decoder layer they were read after.
        mean: mean residual of the layer, float32 (d_model,), from `centring`.
        cap: greatest length of a centred residual, from `centring`.

    Raises:
        UsageError: two matched residuals are equal.
    """
    return VectorFeatures(
        name="activation difference",
        layer=layer,
        directions=_unit(first - second),
        mean=mean,
        cap=cap,
    )


def trained_sae(
    folder: Path, *, device: str = "cpu", norm_factor: float | None = None
) -> SaeFeatures:
    """Features of an autoencoder in a folder, trained here or downloaded.

    Args:
        folder: the folder of one autoencoder, such as one that `sae_train.train` returns.
        device: torch device that encodes.
        norm_factor: see `benchmark.backends.sae_formats.read_autoencoder`.

    Raises:
        MissingPartError: no autoencoder there.
        UsageError: of a kind that is not read.
        IntegrityError: damaged.
    """
    return _features(folder, folder.name, device, norm_factor)


def public_sae(name: str, *, device: str = "cpu", norm_factor: float | None = None) -> SaeFeatures:
    """Features of a published autoencoder, downloaded at a pinned commit.

    Args:
        name: `RELEASE@COMMIT:FOLDER`, where RELEASE is a hub id or one of `RELEASES`, COMMIT 40
            hexadecimal digits, and FOLDER the autoencoder's folder in the repository; after a
            Llama Scope name just the layer, as in `llama-scope-8x@COMMIT:19`.
        device: torch device that encodes.
        norm_factor: for SAELens releases trained on scaled residuals.

    Raises:
        UsageError: the name has another form, or the autoencoder is of a kind that is not read.
        MissingPartError: the hub cannot be reached or has no such folder.
        IntegrityError: damaged.
    """
    hub_id, commit, folder = parse_name(name)
    return _features(_snapshot(hub_id, commit, folder), name, device, norm_factor)


def parse_name(name: str) -> tuple[str, str, str]:
    """Hub id, commit and folder of a public autoencoder's name.

    Raises:
        UsageError: it has another form.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise UsageError(
            f"{name!r}: expected RELEASE@COMMIT:FOLDER with a commit of 40 hexadecimal digits; "
            f"RELEASE is a hub id or one of {', '.join(RELEASES)}"
        )
    release, folder = match["release"], match["folder"]
    if ".." in folder.split("/") or folder.startswith("/"):
        raise UsageError(f"{name!r}: the folder must lie in the repository")
    if release in RELEASES:
        hub_id, template = RELEASES[release]
        return hub_id, match["commit"], template.format(folder)
    if "/" not in release:
        raise UsageError(f"{release!r} is no hub id (org/name) and none of {', '.join(RELEASES)}")
    return release, match["commit"], folder


def centring(folder: Path) -> tuple[Floats, float]:
    """Mean residual, float32 (d_model,), and cap of a layer, from its autoencoder's folder.

    Raises:
        MissingPartError: that folder holds none: public autoencoders have no cap.
    """
    from safetensors.numpy import load_file

    path = folder / "centring.safetensors"
    if not path.is_file():
        raise MissingPartError(f"{path} is missing; it is written when an autoencoder is trained")
    tensors = load_file(path)
    return tensors["mean"], float(tensors["cap"])


def _features(folder: Path, name: str, device: str, norm_factor: float | None) -> SaeFeatures:
    from introspect_bench.benchmark.backends.sae_formats import read_autoencoder

    layer, autoencoder = read_autoencoder(folder, norm_factor=norm_factor, device=device)
    return SaeFeatures(
        name=name,
        layer=layer,
        directions=autoencoder.directions.cpu().numpy(),
        autoencoder=autoencoder,
    )


def _snapshot(hub_id: str, commit: str, folder: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    wanted = [f"{folder}/{pattern}" for pattern in _FILES]
    try:
        root = Path(snapshot_download(hub_id, revision=commit, allow_patterns=wanted))
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise MissingPartError(
            f"cannot get {hub_id!r} at {commit}, which needs a model hub ({reason})"
        ) from error
    return root / folder


def _centred(residuals: Floats, mean: Floats, cap: float) -> Floats:
    centred = residuals - mean
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    shortened: Floats = (centred * (cap / np.maximum(lengths, cap))).astype(np.float32)
    return shortened


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not bool((lengths > 0).all()):
        raise UsageError(f"{int((lengths == 0).sum())} vectors are zero and have no direction")
    unit: Floats = (vectors / lengths).astype(np.float32)
    return unit
