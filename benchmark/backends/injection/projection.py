"""Linear maps from the target's residual stream into that of an explainer of any width.

Owns `Projection`, its file `projection.safetensors`, and its random start. There is one map for
each layer at which a vector of the suite begins: a block's vector is a mean that starts at the
block's first layer, and a feature's lies at one layer, so both share the map of that layer and no
map is left without training queries. Maps are float32 whatever the model computes in, and they are
applied if and only if the injection declares them, equal widths included.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ...errors import IntegrityError, UsageError
from ...tensors import write_safetensors_atomic
from .spec import Maps

PROJECTION = "projection.safetensors"
"""Name of the file."""
ALL = "all"
"""Name of the map where there is one for all layers."""


class Projection(nn.Module):
    """Maps as trainable parameters."""

    def __init__(self, maps: Maps, tensors: Mapping[str, Tensor]) -> None:
        """Bind.

        Args:
            maps: what is declared.
            tensors: `LAYER.weight` float32 (d_explainer, d_target) and, if declared, `LAYER.bias`
                float32 (d_explainer,), for every declared layer, or `all.weight` and `all.bias`.

        Raises:
            IntegrityError: the tensors are not those that are declared.
        """
        super().__init__()
        names = [str(layer) for layer in maps.layers] or [ALL]
        kinds = ("weight", "bias") if maps.bias else ("weight",)
        wanted = {f"{name}.{kind}" for name in names for kind in kinds}
        if set(tensors) != wanted:
            raise IntegrityError(f"a projection must hold {', '.join(sorted(wanted))}")
        shapes = {tuple(tensors[f"{name}.weight"].shape) for name in names}
        self.maps = maps
        self.d_explainer = next(iter(shapes))[0]
        """Width of what comes out."""
        good = shapes == {(self.d_explainer, maps.d_target)} and all(
            tensors[f"{name}.bias"].shape == (self.d_explainer,) for name in names if maps.bias
        )
        if not good or not all(bool(value.isfinite().all()) for value in tensors.values()):
            raise IntegrityError(
                "a projection's maps are of another size than declared, or not finite"
            )
        self.weights = nn.ParameterDict({n: tensors[f"{n}.weight"].float() for n in names})
        self.biases = nn.ParameterDict(
            {n: tensors[f"{n}.bias"].float() for n in names if maps.bias}
        )

    def forward(self, vectors: Tensor, layers: Tensor | None) -> Tensor:
        """Map vectors.

        Args:
            vectors: float32 (n, d_target).
            layers: first and last layer of each, int64 (n, 2); None where one map serves all.

        Returns:
            float32 (n, d_explainer).

        Raises:
            UsageError: there is no map for a layer.
        """
        if self.maps.unit:
            vectors = nn.functional.normalize(vectors, dim=-1)
        with torch.autocast(device_type=vectors.device.type, enabled=False):
            if not self.maps.layers:
                return self._map(ALL, vectors)
            if layers is None:
                raise UsageError("a query names no layers of its own, so no map can be chosen")
            firsts = layers[:, 0]
            found = vectors.new_zeros(len(vectors), self.d_explainer)
            for layer in sorted(set(firsts.tolist())):
                if layer not in self.maps.layers:
                    raise UsageError(
                        f"this explainer's projection has no map for vectors of layer {layer}, "
                        f"only for {', '.join(map(str, self.maps.layers))}"
                    )
                chosen = firsts == layer
                found[chosen] = self._map(str(layer), vectors[chosen])
            return found

    def _map(self, name: str, vectors: Tensor) -> Tensor:
        bias = self.biases[name] if self.maps.bias else None
        return nn.functional.linear(vectors, self.weights[name], bias)

    def tensors(self) -> dict[str, Tensor]:
        """The maps by name, on the CPU."""
        kinds = (("weight", self.weights), ("bias", self.biases))
        return {
            f"{name}.{kind}": value.detach().cpu()
            for kind, values in kinds
            for name, value in values.items()
        }


def random_projection(maps: Maps, d_explainer: int, *, seed: int) -> Projection:
    """Maps drawn from a normal distribution that keeps lengths on average."""
    generator = torch.Generator().manual_seed(seed)
    names = [str(layer) for layer in maps.layers] or [ALL]
    tensors = {}
    for name in names:
        drawn = torch.randn(d_explainer, maps.d_target, generator=generator)
        tensors[f"{name}.weight"] = drawn * d_explainer**-0.5
        if maps.bias:
            tensors[f"{name}.bias"] = torch.zeros(d_explainer)
    return Projection(maps, tensors)


def write_projection(folder: Path, projection: Projection) -> None:
    """Write the maps into an explainer's folder, float32.

    Raises:
        MissingPartError: the disk is full or the path cannot be written.
    """
    tensors = {name: value.numpy() for name, value in projection.tensors().items()}
    write_safetensors_atomic(folder / PROJECTION, tensors)


def load_projection(path: Path, maps: Maps) -> Projection:
    """Read maps from their file.

    Raises:
        IntegrityError: the file is corrupt, or holds other maps than those declared.
    """
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise IntegrityError(f"{path} is cut off or corrupt: {error}; get it again") from error
    try:
        return Projection(maps, tensors)
    except IntegrityError as error:
        raise IntegrityError(f"{path}: {error}") from error
