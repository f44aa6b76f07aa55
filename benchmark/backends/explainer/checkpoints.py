"""From the name of a model to its weights, tokenizer and how it takes vectors.

A folder may hold `explainer.json`, which says how the explainer takes vectors: `{"injection":
{"mode": ..., "layer": ..., "scaling": ..., "multiplier": ..., "slots": ...}}`, or an object of
these by task, and `{"twin": {"kind": ..., "seed": ...}}` where an adapter's base is changed before
it is merged (`twins.py`); learned parts lie beside it (`learned.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
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
SETTINGS = "explainer.json"  # optional file of a model's folder, see above


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a model lies on this machine."""

    directory: Path  # folder with config, tokenizer and safetensors, or with an adapter
    revision: str | None = None  # commit of a hub model


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a folder holds, loaded."""

    model: Any  # the language model, adapters merged
    tokenizer: Any  # its tokenizer
    hashes: dict[str, str]  # sha256 by name of weight file
    injection: Injections  # how vectors enter
    learned: Learned  # learned parts of the injection
    family: Family | None  # whose convention its prompts follow; None for the benchmark's own
    decoding: str | None = None  # how its replies are chosen, if its folder says so
    about: dict[str, Any] = field(default_factory=dict)
    """What else its folder says: `twin`, `n_train`, `reading`, `validation_loss`."""


def find_model(model: str, *, on_progress: OnProgress = silent) -> Place:
    """Find the folder of a model: a path, a named target, or `owner/name[@revision]` on a hub."""
    named = find_name(model)
    if isinstance(named, Path):
        return Place(directory=named)
    if isinstance(named, TargetSpec):
        return Place(directory=prepare_target(named, on_progress=on_progress))
    folder = hub_snapshot(named.id, named.revision)
    return Place(directory=folder, revision=folder.name)


def detect_family(directory: Path) -> str | None:
    """The family of a checkpoint whose files, or architecture, can be of no other kind, or None."""
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
    """Read a folder as its family says; `injection` overrides `explainer.json` and family."""
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
    decoding = _declared(directory / SETTINGS, "decoding")
    return Checkpoint(
        model=model,
        tokenizer=tokenizer,
        hashes=hashes,
        injection=chosen,
        learned=learned,
        family=known,
        decoding=None if decoding is None else str(decoding),
        about=_about(directory / SETTINGS),
    )


def _selfie(
    directory: Path,
    file: str | None,
    injection: Injections | None,
    dtype: torch.dtype,
    on_progress: OnProgress,
) -> Checkpoint:
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
    """Read the injections of `explainer.json`."""
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


def _declared(path: Path, *keys: str) -> Any:
    value: Any = read_json(path) if path.is_file() else None
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _declared_twin(path: Path) -> dict[str, Any] | None:
    twin = _declared(path, "twin")
    if twin is None:
        return None
    if not isinstance(twin, dict) or set(twin) != {"kind", "seed"}:
        raise UsageError(f"{path}: expected twin with kind and seed")
    if type(twin["kind"]) is not str or type(twin["seed"]) is not int:
        raise UsageError(f"{path}: expected a name as kind and a whole number as seed of its twin")
    return twin


def _about(path: Path) -> dict[str, Any]:
    """What a card says of an explainer's training, where its folder says it."""
    n_train = _declared(path, "training", "lessons", "n_train")
    reading = _declared(path, "training", "settings", "reading")
    loss = _declared(path, "validation_loss")
    if n_train is not None and (
        not isinstance(n_train, dict) or not all(type(n) is int for n in n_train.values())
    ):
        raise UsageError(f"{path}: expected n_train with a whole number for each task")
    if loss is not None and type(loss) is not float:
        raise UsageError(f"{path}: expected a number as validation_loss")
    if reading is not None and not isinstance(reading, dict):
        raise UsageError(f"{path}: expected reading with an object")
    about = {"twin": _declared_twin(path), "n_train": n_train, "reading": reading}
    about = {name: value for name, value in about.items() if value}
    return about | ({} if loss is None else {"validation_loss": loss})


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
