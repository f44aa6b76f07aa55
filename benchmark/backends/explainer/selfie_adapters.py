"""Published SelfIE adapters: from their file to a declared projection and a prompt.

The format is that of agencyenterprise/selfie-adapters, `selfie_adapters/inference.py` and
`selfie_adapters/projection.py`: safetensors with `log_scale` (1,), `bias` (d,), `U` and `V` (d, r),
or `weight` (d, d), and in the header either `config_json`, the training's configuration, or flat
keys. A vector x, brought to length 1 if the header says so, becomes

    exp(log_scale) x + V U^T x + bias      or      weight x + bias

without the terms whose tensors are missing. Older `.pt` files are pickles and are never read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ...errors import IntegrityError, MissingPartError, UsageError
from ...files import reading
from ...records import SLOT
from ..injection.learned import ALL, Projection
from ..injection.spec import Maps
from .families import FAMILIES, Family

TENSORS = {
    "scale_only": {"log_scale"},
    "scalar_affine": {"log_scale", "bias"},
    "full_rank": {"weight", "bias"},
    "low_rank_only": {"U", "V", "bias"},
    "scalar_affine_plus_low_rank": {"log_scale", "U", "V", "bias"},
}
"""Tensors of each kind of adapter."""
MEANS = "mean-vectors.safetensors"  # a file of published repositories that is no adapter


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfieAdapter:
    """One adapter."""

    family: Family  # with this adapter's template, placeholder and maps
    projection: Projection  # its map
    base: str  # name of the frozen model, as the file states it
    path: Path  # the file


def is_selfie_adapter(directory: Path) -> bool:
    """Whether a folder holds nothing but SelfIE adapters, told by the headers of its files."""
    paths = [] if (directory / "adapter_config.json").is_file() else _files(directory)
    return bool(paths) and all("projection" in _header(path) for path in paths)


def open_selfie_adapter(directory: Path, file: str | None = None) -> SelfieAdapter:
    """Read the only adapter of a folder, or the one that is named."""
    path = _choose(directory, file)
    with reading(path, "a SelfIE adapter", "it is cut off or corrupt; get it again"):
        with safe_open(path, framework="pt") as stream:
            header = stream.metadata() or {}
            tensors = {name: stream.get_tensor(name).float() for name in stream.keys()}  # noqa: SIM118
        config = _config(header, path)
        kind, unit = (config["projection"].get(key) for key in ("type", "normalize_input"))
        if kind not in TENSORS or set(tensors) != TENSORS[kind]:
            raise IntegrityError(
                f"{path}: its header says {kind!r} but it holds {', '.join(sorted(tensors))}"
            )
        if not isinstance(unit, bool):
            raise IntegrityError(f"{path}: its header does not say whether vectors are normalised")
        width = _width(tensors, header, path)
        maps = Maps(d_target=width, n_layers=0, layers=(), bias="bias" in tensors, unit=unit)
        family, projection = _family(config, maps, path), Projection(maps, _affine(tensors, width))
    base = config.get("model", {}).get("name")
    if not isinstance(base, str):
        raise UsageError(f"{path} does not name the model it is for")
    return SelfieAdapter(family=family, projection=projection, base=base, path=path)


def _files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.glob("*.safetensors") if path.name != MEANS)


def _choose(directory: Path, file: str | None) -> Path:
    paths = [path for path in _files(directory) if file is None or path.name == file]
    if not paths:
        raise MissingPartError(
            f"{directory} holds no {file or '*.safetensors'}; give a SelfIE adapter as safetensors"
        )
    if len(paths) > 1:
        names = ", ".join(path.name for path in paths)
        raise UsageError(f"{directory} holds several adapters; give selfie-adapter:FILE of {names}")
    return paths[0]


def _header(path: Path) -> str:
    """Header of a file as one text; empty if it cannot be read."""
    try:
        with safe_open(path, framework="numpy") as stream:
            return " ".join(f"{key} {value}" for key, value in (stream.metadata() or {}).items())
    except SafetensorError:
        return ""


def _config(header: Mapping[str, str], path: Path) -> dict[str, Any]:
    try:
        config = json.loads(header["config_json"])
        sections = [config["projection"], config.get("model", {}), config.get("soft_prompt", {})]
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{path}: its header has no config_json with projection, model and soft_prompt, so its "
            "prompt is not known"
        ) from error
    if not all(isinstance(section, dict) for section in sections):
        raise IntegrityError(f"{path}: config_json of its header is not what adapters state")
    return dict(config)


def _family(config: Mapping[str, Any], maps: Maps, path: Path) -> Family:
    family = FAMILIES["selfie-adapter"]
    prompt = config.get("soft_prompt", {})
    ((before, token, after),) = family.placeholders
    token = prompt.get("reserved_token", token)
    template = prompt.get("template")
    if not isinstance(template, str) or not isinstance(token, str) or token not in template:
        raise UsageError(f"{path}: its header states no template with {token!r}")
    return replace(
        family,
        injection=replace(family.injection, projection=maps),
        placeholders=((before, token, after),),
        template=template.replace(token, SLOT),
    )


def _width(tensors: Mapping[str, Tensor], header: Mapping[str, str], path: Path) -> int:
    for name in ("bias", "weight", "U"):
        if name in tensors:
            return int(tensors[name].shape[0])
    if not header.get("model_dim", "").isdecimal():
        raise IntegrityError(f"{path}: its header does not state model_dim")
    return int(header["model_dim"])


def _affine(tensors: Mapping[str, Tensor], width: int) -> dict[str, Tensor]:
    terms = [torch.zeros(width, width)]
    if "weight" in tensors:
        terms.append(tensors["weight"])
    if "log_scale" in tensors:
        terms.append(float(tensors["log_scale"].exp()) * torch.eye(width))
    if "U" in tensors:
        terms.append(tensors["V"] @ tensors["U"].mT)
    if any(term.shape != terms[0].shape for term in terms):
        raise ValueError("its tensors are of several widths")
    bias = {f"{ALL}.bias": tensors["bias"]} if "bias" in tensors else {}
    return {f"{ALL}.weight": sum(terms[1:], terms[0]), **bias}
