"""From the name of a model to its weights, tokenizer and how it takes vectors.

Owns names, adapters on their bases, and what `explainer.json` and a family say. Where files come
from is `targets.py` and `fetch.py`, how they are read is `pretrained.py` and `adapters.py`.

A directory may hold `explainer.json`, which says how the explainer was trained to take vectors:
`{"injection": {"mode": ..., "layer": ..., "scaling": ..., "multiplier": ..., "slots": ...}}`, or an
object of these by task, and
`{"twin": {"kind": ..., "seed": ...}}` where an adapter's base is changed before it is added, see
`twins.py`; what else is trained for it lies beside it, see `learned.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...cache import OnProgress, silent
from ...errors import UsageError
from ...files import read_json, sha256_file
from ...models.fetch import prepare_target
from ...models.targets import HubId, TargetSpec, find_name, hub_snapshot, locate, weight_files
from ..injection.learned import Learned, read_learned
from ..injection.spec import Injection, Injections, injections_from_json, merged
from ..models.adapters import ADAPTER, merge_adapter
from ..models.pretrained import load_model, load_tokenizer
from ..models.twins import make_twin
from .families import Family, find_family
from .selfie_adapters import is_selfie_adapter, open_selfie_adapter

KNOWN = frozenset({"decoding", "injection", "schema", "training", "twin", "validation_loss"})
"""Keys of `explainer.json`; all but the schema and the loss are read here."""
OF_PAPER = "WithIntervention"
"""Part of the names of the paper's architectures, as in `LlamaWithIntervention`."""
SETTINGS = "explainer.json"
"""Optional file of a model directory, see the module's docstring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a model lies on this machine."""

    directory: Path
    """Folder with config, tokenizer and safetensors, or with an adapter."""
    revision: str | None = None
    """Commit of a hub model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a folder holds, loaded."""

    model: Any
    """The language model, adapters merged."""
    tokenizer: Any
    """Its tokenizer."""
    hashes: dict[str, str]
    """sha256 by name of weight file."""
    injection: Injections
    """How vectors enter."""
    learned: Learned
    """Learned parts of the injection."""
    family: Family | None
    """Whose convention its prompts follow; None for the benchmark's own."""
    twin: dict[str, Any] | None = None
    """What its adapter's base was changed to first, if anything."""
    n_train: dict[str, int] | None = None
    """Training queries of each task that it learnt from, as far as its folder says."""
    validation_loss: float | None = None
    """Nats a token of right answers to validation queries, if its folder says so."""
    reading: dict[str, Any] | None = None
    """How it was taught to read vectors, as far as its folder says."""
    decoding: str | None = None
    """How its replies are chosen, if its folder says so."""


def find_model(model: str, *, on_progress: OnProgress = silent) -> Place:
    """Find the folder of a model: a path, a named target, or `owner/name[@revision]` on a hub.

    Raises:
        UsageError: the name is none of these.
        MissingPartError: the folder does not exist, or the hub cannot give the model.
    """
    found = find_name(model)
    if isinstance(found, Path):
        return Place(directory=found)
    if isinstance(found, TargetSpec):
        return Place(directory=prepare_target(found, on_progress=on_progress))
    folder = hub_snapshot(found.id, found.revision)
    return Place(directory=folder, revision=folder.name)


def detect_family(directory: Path) -> str | None:
    """Return the family of a checkpoint whose files can be of no other kind, or None.

    The paper's explainers name an architecture of their own code, SelfIE adapters the kind of map
    in their header. Adapters of Activation Oracles and LatentQA look like any other adapter.

    Raises:
        IntegrityError: `config.json` is not JSON.
    """
    if is_selfie_adapter(directory):
        return "selfie-adapter"
    if (directory / "config.json").is_file():
        names = read_json(directory / "config.json").get("architectures") or []
        if any(str(name).startswith("Continuous") or OF_PAPER in str(name) for name in names):
            return "paper"
    return None


def open_checkpoint(
    directory: Path,
    family: str | None,
    injection: Injections | None,
    dtype: torch.dtype,
    on_progress: OnProgress,
) -> Checkpoint:
    """Read a folder as its family says.

    Args:
        directory: folder of a model or adapter.
        family: as in `load_local`.
        injection: how vectors enter; where it says nothing of a task, what `explainer.json` says,
            else the family.
        dtype: of the weights.
        on_progress: told what is happening while a base model is prepared.

    Raises:
        UsageError: unknown family, or an architecture that cannot be loaded.
        MissingPartError: folder, weights, tokenizer or hub are missing.
        IntegrityError: weights are corrupt, or an adapter's are not those of its base model.
    """
    if not isinstance(injection, Injection) and (directory / SETTINGS).is_file():
        injection = merged(injection, declared_injection(directory / SETTINGS))
    name, _, file = (family or detect_family(directory) or "").partition(":")
    if name == "selfie-adapter":
        return _selfie(directory, file or None, injection, dtype, on_progress)
    if file:
        raise UsageError(f"family {family!r}: only selfie-adapter takes a file")
    known = find_family(name) if name else None
    chosen = merged(injection, Injection() if known is None else known.injection)
    learned = read_learned(directory, chosen)
    model, tokenizer, hashes = _load(directory, dtype, on_progress)
    return Checkpoint(
        model=model,
        tokenizer=tokenizer,
        hashes=hashes,
        injection=chosen,
        learned=learned,
        family=known,
        twin=_declared_twin(directory / SETTINGS),
        n_train=_declared_amounts(directory / SETTINGS),
        validation_loss=_declared_loss(directory / SETTINGS),
        reading=_declared_reading(directory / SETTINGS),
        decoding=_declared_decoding(directory / SETTINGS),
    )


def _selfie(
    directory: Path,
    file: str | None,
    injection: Injections | None,
    dtype: torch.dtype,
    on_progress: OnProgress,
) -> Checkpoint:
    """Read a SelfIE adapter and the frozen model that it names."""
    adapter = open_selfie_adapter(directory, file)
    relative = directory / adapter.base
    base = str(relative) if relative.is_dir() else adapter.base
    folder = find_model(base, on_progress=on_progress).directory
    model, tokenizer, hashes = _load(folder, dtype, on_progress)
    return Checkpoint(
        model=model,
        tokenizer=tokenizer,
        hashes={adapter.path.name: sha256_file(adapter.path)}
        | {f"base/{name}": digest for name, digest in hashes.items()},
        injection=merged(injection, adapter.family.injection),
        learned=Learned(projection=adapter.projection),
        family=adapter.family,
    )


def declared_injection(path: Path) -> Injections:
    """Read `explainer.json`.

    Raises:
        UsageError: it holds anything but a possible injection, or one for each task.
    """
    values = read_json(path)
    if not isinstance(values.get("injection"), dict) or not set(values) <= KNOWN:
        raise UsageError(
            f"{path}: expected injection with an object, and nothing else but what training writes"
        )
    return injections_from_json(values["injection"])


def _load(
    directory: Path, dtype: torch.dtype, on_progress: OnProgress
) -> tuple[Any, Any, dict[str, str]]:
    """Load model, tokenizer and sha256 by weight file of a model or adapter folder."""
    hashes = weight_files(directory)
    if not (directory / ADAPTER).is_file():
        return load_model(directory, dtype), load_tokenizer(directory), hashes
    base = find_model(_base_model(directory), on_progress=on_progress).directory
    if base.resolve() == directory.resolve():
        raise UsageError(f"{directory / ADAPTER}: the adapter names itself as its base model")
    model, tokenizer, base_hashes = _load(base, dtype, on_progress)
    if (directory / "tokenizer_config.json").is_file():
        tokenizer = load_tokenizer(directory)
    hashes |= {f"base/{name}": digest for name, digest in base_hashes.items()}
    if twin := _declared_twin(directory / SETTINGS):
        model = make_twin(model.float(), twin["kind"], seed=twin["seed"]).to(dtype)
    return merge_adapter(model, directory), tokenizer, hashes


def _declared_twin(path: Path) -> dict[str, Any] | None:
    """What an adapter's base is changed to, if its folder says so."""
    found = read_json(path).get("twin") if path.is_file() else None
    if found is None:
        return None
    if not isinstance(found, dict) or set(found) != {"kind", "seed"}:
        raise UsageError(f"{path}: expected twin with kind and seed")
    if type(found["kind"]) is not str or type(found["seed"]) is not int:
        raise UsageError(f"{path}: expected a name as kind and a whole number as seed of its twin")
    return found


def _declared_amounts(path: Path) -> dict[str, int] | None:
    """How much an explainer learnt from, if its folder says so."""
    found: Any = read_json(path) if path.is_file() else None
    for key in ("training", "lessons", "n_train"):
        found = found.get(key) if isinstance(found, dict) else None
    if found is None:
        return None
    if not isinstance(found, dict) or not all(type(n) is int for n in found.values()):
        raise UsageError(f"{path}: expected n_train with a whole number for each task")
    return found


def _declared_reading(path: Path) -> dict[str, Any] | None:
    """What an explainer learnt beside its tasks, if its folder says so."""
    found: Any = read_json(path) if path.is_file() else None
    for key in ("training", "settings", "reading"):
        found = found.get(key) if isinstance(found, dict) else None
    if found is not None and not isinstance(found, dict):
        raise UsageError(f"{path}: expected reading with an object")
    return found


def _declared_loss(path: Path) -> float | None:
    found = read_json(path).get("validation_loss") if path.is_file() else None
    if found is not None and type(found) is not float:
        raise UsageError(f"{path}: expected a number as validation_loss")
    return found


def _declared_decoding(path: Path) -> str | None:
    found = read_json(path).get("decoding") if path.is_file() else None
    return None if found is None else str(found)


def _base_model(directory: Path) -> str:
    """Name of an adapter's base model; a folder may be given relative to the adapter's."""
    adapter = read_json(directory / ADAPTER)
    base, revision = adapter.get("base_model_name_or_path"), adapter.get("revision")
    if not isinstance(base, str) or not base:
        raise UsageError(f"{directory / ADAPTER}: base_model_name_or_path is missing")
    if (directory / base).is_dir():
        return str(directory / base)
    is_hub = isinstance(locate(base), HubId)
    return f"{base}@{revision}" if is_hub and isinstance(revision, str) else base
