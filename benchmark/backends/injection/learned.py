"""What an injection learns beside an adapter: a scale, and linear maps into any width.

Both lie in the trained explainer's folder: `injection.safetensors` holds `log_scale`, float32 (1,),
the natural logarithm of the factor on norm-matched vectors; `projection.safetensors` holds one
float32 map for each layer at which a vector of the suite begins, the first of a block or a
feature's own. Maps are applied if and only if the injection declares them, equal widths included. A
part that is declared and not there is refused, and so is one that is there and not declared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ...errors import IntegrityError, MissingPartError, UsageError
from ...files import write_safetensors_atomic
from .spec import Injection, Injections, Maps, all_injections

LEARNED, PROJECTION = "injection.safetensors", "projection.safetensors"  # names of the files
KEY = "log_scale"  # name of the only tensor of the first
ALL = "all"  # name of the map where there is one for all layers


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """The learned parts of an injection."""

    log_scale: float | None = None  # natural logarithm of the learned factor; None without one
    projection: Projection | None = None  # maps into the explainer's width; None without them

    def used_by(self, injection: Injection) -> Learned:
        """What one task's injection uses of what was learned for all."""
        return Learned(
            log_scale=self.log_scale if injection.scaling == "learned" else None,
            projection=None if injection.projection is None else self.projection,
        )


def check_learned(injections: Injections, learned: Learned) -> None:
    """Refuse a learned part that is missing, or that no injection uses."""
    ways = all_injections(injections)
    scaled = any(way.scaling == "learned" for way in ways)
    declared = {way.projection for way in ways} - {None}
    if scaled and learned.log_scale is None:
        raise UsageError(
            "scaling 'learned' is for explainers that were trained with it; train one, or choose "
            "raw or norm-matched"
        )
    if not scaled and learned.log_scale is not None:
        raise _undeclared("this explainer was trained with a learned scale", LEARNED)
    if declared and learned.projection is None:
        raise UsageError("a projection is declared, but its maps are missing; train an explainer")
    if learned.projection is not None and declared != {learned.projection.maps}:
        raise _undeclared("this explainer was trained with a projection", PROJECTION)


def _undeclared(what: str, file: str) -> UsageError:
    return UsageError(
        f"{what} ({file}) that its injection does not declare; leave --injection and --scaling out"
    )


def write_learned(folder: Path, learned: Learned) -> None:
    """Write what was learned into an explainer's folder."""
    if learned.log_scale is not None:
        values = {KEY: np.array([learned.log_scale], dtype=np.float32)}
        write_safetensors_atomic(folder / LEARNED, values)
    if learned.projection is not None:
        tensors = {name: value.numpy() for name, value in learned.projection.tensors().items()}
        write_safetensors_atomic(folder / PROJECTION, tensors)


def read_learned(folder: Path, injections: Injections) -> Learned:
    """Read what belongs to injections from an explainer's folder."""
    ways = all_injections(injections)
    maps = next((way.projection for way in ways if way.projection is not None), None)
    scale, projection = folder / LEARNED, folder / PROJECTION
    if any(way.scaling == "learned" for way in ways) and not scale.is_file():
        raise MissingPartError(f"{folder} declares a learned scale but holds no {LEARNED}")
    if maps is not None and not projection.is_file():
        raise MissingPartError(f"{folder} declares a projection but holds no {PROJECTION}")
    if maps is None and projection.is_file():
        raise _undeclared(f"{folder} holds a projection", PROJECTION)
    learned = Learned(
        log_scale=_read_scale(scale) if scale.is_file() else None,
        projection=None if maps is None else _read_projection(projection, maps),
    )
    check_learned(injections, learned)
    return learned


def _read(path: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except SafetensorError as error:
        raise IntegrityError(f"{path} is cut off or corrupt: {error}; get it again") from error
    return tensors


def _read_scale(path: Path) -> float:
    tensors = _read(path)
    value = tensors.get(KEY)
    if set(tensors) != {KEY} or value is None or value.numel() != 1 or not value.isfinite().all():
        raise IntegrityError(f"{path}: expected {KEY} with one finite number")
    return float(value)


class Projection(nn.Module):
    """Maps as trainable parameters."""

    def __init__(self, maps: Maps, tensors: Mapping[str, Tensor]) -> None:
        """Take `LAYER.weight` and, if declared, `LAYER.bias`; a map for all layers is `all`."""
        super().__init__()
        names = _names(maps)
        biased = names if maps.bias else []
        wanted = {f"{name}.weight" for name in names} | {f"{name}.bias" for name in biased}
        if set(tensors) != wanted:
            raise IntegrityError(f"a projection must hold {', '.join(sorted(wanted))}")
        rows = tensors[f"{names[0]}.weight"].shape[:1]
        shapes = {"weight": (*rows, maps.d_target), "bias": rows}
        for name, value in tensors.items():
            if value.shape != shapes[name.rpartition(".")[2]] or not bool(value.isfinite().all()):
                raise IntegrityError(
                    "a projection's maps are of another size than declared, or not finite"
                )
        self.maps = maps
        self.d_explainer = rows[0]  # width of what comes out
        self.weights = nn.ParameterDict({n: tensors[f"{n}.weight"].float() for n in names})
        self.biases = nn.ParameterDict({n: tensors[f"{n}.bias"].float() for n in biased})

    def forward(self, vectors: Tensor, layers: Tensor | None) -> Tensor:
        """Map (n, d_target) to (n, d_explainer) by first `layers`, int64 (n, 2) or None."""
        if self.maps.unit:
            vectors = nn.functional.normalize(vectors, dim=-1)
        with torch.autocast(device_type=vectors.device.type, enabled=False):
            if not self.maps.layers:
                return self._map(ALL, vectors)
            if layers is None:
                raise UsageError("a query names no layers of its own, so no map can be chosen")
            firsts = layers[:, 0]
            mapped = vectors.new_zeros(len(vectors), self.d_explainer)
            for layer in sorted(set(firsts.tolist())):
                if layer not in self.maps.layers:
                    raise UsageError(
                        f"this explainer's projection has no map for vectors of layer {layer}, "
                        f"only for {', '.join(map(str, self.maps.layers))}"
                    )
                chosen = firsts == layer
                mapped[chosen] = self._map(str(layer), vectors[chosen])
            return mapped

    def _map(self, name: str, vectors: Tensor) -> Tensor:
        bias = self.biases[name] if self.maps.bias else None
        return nn.functional.linear(vectors, self.weights[name], bias)

    def tensors(self) -> dict[str, Tensor]:
        """The maps by name, on the CPU."""
        tensors = {f"{name}.weight": value for name, value in self.weights.items()}
        tensors |= {f"{name}.bias": value for name, value in self.biases.items()}
        return {name: value.detach().cpu() for name, value in tensors.items()}


def _names(maps: Maps) -> list[str]:
    return [str(layer) for layer in maps.layers] or [ALL]


def random_projection(maps: Maps, d_explainer: int, *, seed: int) -> Projection:
    """Maps drawn from a normal distribution that keeps lengths on average."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name in _names(maps):
        drawn = torch.randn(d_explainer, maps.d_target, generator=generator)
        tensors[f"{name}.weight"] = drawn * d_explainer**-0.5
        if maps.bias:
            tensors[f"{name}.bias"] = torch.zeros(d_explainer)
    return Projection(maps, tensors)


def _read_projection(path: Path, maps: Maps) -> Projection:
    tensors = _read(path)
    try:
        return Projection(maps, tensors)
    except IntegrityError as error:
        raise IntegrityError(f"{path}: {error}") from error
