"""From the name of a model to its weights, tokenizer and how it takes vectors.

A folder may hold `explainer.json`, which says how the explainer takes vectors: `{"injection":
{"mode": ..., "layer": ..., "scaling": ..., "multiplier": ..., "slots": ...}}`, or an object of
these by task, and `{"twin": {"kind": ..., "seed": ...}}` where an adapter's base is changed before
it is merged (`twins.py`); learned parts lie beside it (`learned.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from ...cache import Progress, silent
from ...errors import MissingPartError, UsageError
from ...explainer import ExplainerCard
from ...files import read_json, reading, sha256_file
from ...models.fetch import prepare_target
from ...models.targets import HubId, TargetSpec, find_name, hub_snapshot, locate, weight_files
from ...records import GREEDY
from ..injection.learned import Learned, read_learned
from ..injection.spec import Injection, Injections, all_injections, merged
from ..models.devices import find_dtype, placing, usable_device
from ..models.pretrained import ADAPTER, load_model, load_tokenizer, merge_adapter
from ..models.twins import make_twin
from .declared import (
    SETTINGS,
    about_training,
    declared,
    declared_injection,
    declared_thresholds,
    declared_twin,
)
from .families import Family, find_family
from .local import LocalExplainer
from .selfie_adapters import is_selfie_adapter, open_selfie_adapter
from .vllm_decoder import open_llm

SPREAD = ("device_map", "quantization")  # options of `load_local` that `devices.placing` takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a model lies on this machine."""

    directory: Path  # folder with config, tokenizer and safetensors, or with an adapter
    revision: str | None = None  # commit of a hub model


@dataclass(frozen=True, slots=True)
class Weights:
    """How weights are found and loaded."""

    dtype: torch.dtype
    placing: Mapping[str, Any] = field(default_factory=dict)  # See `devices.placing`
    base: str | None = None  # where an adapter's base model is, for one that moved
    progress: Progress = silent


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a folder holds, loaded."""

    model: Any  # adapters merged
    tokenizer: Any
    hashes: dict[str, str]  # sha256 by name of weight file
    injection: Injections
    learned: Learned
    family: Family | None  # whose convention its prompts follow; None for the benchmark's own
    decoding: str | None = None  # as its folder says
    thresholds: Mapping[str, float] = field(default_factory=dict)  # the same
    about: dict[str, Any] = field(default_factory=dict)  # `twin`, `n_train` and the like


def find_model(model: str, *, progress: Progress = silent) -> Place:
    """Find the folder of a model: a path, a named target, or `owner/name[@revision]` on a hub."""
    named = find_name(model)
    if isinstance(named, Path):
        return Place(directory=named)
    if isinstance(named, TargetSpec):
        return Place(directory=prepare_target(named, progress=progress))
    folder = hub_snapshot(named.id, named.revision)
    return Place(directory=folder, revision=folder.name)


def detect_family(directory: Path) -> str | None:
    """The family of a checkpoint whose files, or architecture, can be of no other kind, or None."""
    if is_selfie_adapter(directory):
        return "selfie-adapter"
    if (directory / "config.json").is_file():
        names = read_json(directory / "config.json").get("architectures")
        # the paper's are named as ContinuousLlama or LlamaWithIntervention
        if isinstance(names, list) and any(
            str(n).startswith("Continuous") or "WithIntervention" in str(n) for n in names
        ):
            return "paper"
    return None


def open_checkpoint(
    directory: Path, family: str | None, injection: Injections | None, weights: Weights
) -> Checkpoint:
    """Read a folder as its family says; `injection` overrides `explainer.json` and family."""
    if not isinstance(injection, Injection) and (directory / SETTINGS).is_file():
        injection = merged(injection, declared_injection(directory / SETTINGS))
    name, _, file = (family or detect_family(directory) or "").partition(":")
    if name == "selfie-adapter":
        return _selfie(directory, file or None, injection, weights)
    if file:
        raise UsageError(f"family {family!r}: only selfie-adapter takes a file")
    known = find_family(name) if name else None
    chosen = merged(injection, Injection() if known is None else known.injection)
    learned = read_learned(directory, chosen)
    loaded = _load(directory, weights)
    decoding = declared(directory / SETTINGS, "decoding")
    return Checkpoint(
        *loaded,
        chosen,
        learned,
        known,
        decoding=None if decoding is None else str(decoding),
        thresholds=declared_thresholds(directory / SETTINGS),
        about=about_training(directory / SETTINGS),
    )


def _selfie(
    directory: Path, file: str | None, injection: Injections | None, weights: Weights
) -> Checkpoint:
    adapter = open_selfie_adapter(directory, file)
    relative = directory / adapter.base
    base = weights.base or (str(relative) if relative.is_dir() else adapter.base)
    folder = _base_folder(directory, base, weights.progress)
    model, tokenizer, base_hashes = _load(folder, replace(weights, base=None))
    hashes = {adapter.path.name: sha256_file(adapter.path), **_of_base(base_hashes)}
    chosen = merged(injection, adapter.family.injection)
    learned = Learned(projection=adapter.projection)
    return Checkpoint(model, tokenizer, hashes, chosen, learned, adapter.family)


def _of_base(hashes: dict[str, str]) -> dict[str, str]:
    return {f"base/{name}": digest for name, digest in hashes.items()}


def _base_folder(directory: Path, base: str, progress: Progress) -> Path:
    try:
        return find_model(base, progress=progress).directory
    except (UsageError, MissingPartError) as error:
        raise type(error)(
            f"{directory} is an adapter whose base model, {base!r}, is missing: {error}; say where "
            "it is with --base"
        ) from error


def _load(
    directory: Path, weights: Weights, above: Sequence[Path] = ()
) -> tuple[Any, Any, dict[str, str]]:
    """Load model, tokenizer and sha256 by weight file of a folder; `above` it are adapters."""
    hashes = weight_files(directory)
    if not (directory / ADAPTER).is_file():
        if weights.base is not None:
            raise UsageError(f"{directory} is no adapter, and --base is for adapters")
        model = load_model(directory, weights.dtype, hashes, weights.placing)
        return model, load_tokenizer(directory), hashes
    base = weights.base or _base_model(directory)
    folder = _base_folder(directory, base, weights.progress)
    above = (*above, directory.resolve())
    if folder.resolve() in above:
        by_way = f", by way of {len(above) - 1} other adapters" if len(above) > 1 else ""
        raise UsageError(
            f"{directory / ADAPTER}: the adapter names itself as its base model{by_way}"
        )
    model, tokenizer, base_hashes = _load(folder, replace(weights, base=None), above)
    if (directory / "tokenizer_config.json").is_file():
        tokenizer = load_tokenizer(directory)
    hashes |= _of_base(base_hashes)
    if twin := declared_twin(directory / SETTINGS):
        if weights.placing:
            raise UsageError(f"{directory}: a changed copy of its base fits one device only, whole")
        model = make_twin(model.float(), twin["kind"], seed=twin["seed"]).to(weights.dtype)
    return merge_adapter(model, directory), tokenizer, hashes


def _base_model(directory: Path) -> str:
    """Name of an adapter's base model; a folder may be given relative to the adapter's."""
    adapter = read_json(directory / ADAPTER)
    base, revision = adapter.get("base_model_name_or_path"), adapter.get("revision")
    if not isinstance(base, str) or not base:
        raise UsageError(f"{directory / ADAPTER}: base_model_name_or_path is missing")
    with reading(directory / ADAPTER, "an adapter whose base model can be looked for"):
        if (directory / base).is_dir():
            return str(directory / base)
        is_hub = isinstance(locate(base), HubId)
    return f"{base}@{revision}" if is_hub and isinstance(revision, str) else base


def target_tokenizer(target: str | None, injections: Injections, progress: Progress) -> Any:
    """What counts positions in a target's texts, where vectors enter at quoted tokens; or None."""
    if target is None or not any(way.quotes for way in all_injections(injections)):
        return None
    return load_tokenizer(find_model(target, progress=progress).directory)


def load_local(
    model: str,
    *,
    device: str = "cpu",
    dtype: str = "auto",
    family: str | None = None,
    target: str | None = None,
    base: str | None = None,
    vllm: Mapping[str, Any] | None = None,
    progress: Progress = silent,
    **options: Any,
) -> tuple[LocalExplainer, ExplainerCard]:
    """Load a folder, hub id or target name as an explainer; an adapter names its `base` model.

    Options are fields of `local.Options`; where they say nothing of injection or decoding,
    `explainer.json` does. `vllm` are arguments of vLLM's `LLM`, if it decodes. `family` (or
    `selfie-adapter:FILE`) is told from the checkpoint if None. The tokenizer of `target` counts
    positions in texts if vectors enter at quoted tokens.
    """
    where = usable_device(device)
    spread = {name: options.pop(name, None) for name in SPREAD}
    weights = Weights(find_dtype(dtype, device), placing(where, **spread), base, progress)
    place = find_model(model, progress=progress)
    opened = open_checkpoint(place.directory, family, options.get("injection"), weights)
    counted = target if options.get("use_vectors", True) else None
    options["injection"] = opened.injection
    options["decoding"] = options.get("decoding") or opened.decoding or GREEDY
    options.setdefault("thresholds", opened.thresholds)
    told = {name: value for name, value in spread.items() if value is not None}
    if vllm is not None:
        own = (opened.model, opened.hashes, place.directory)
        options["llm"], told["vllm"] = open_llm(*own, vllm, where)
    explainer = LocalExplainer(
        opened.model if weights.placing or vllm is not None else opened.model.to(where),
        opened.tokenizer,
        learned=opened.learned,
        family=opened.family,
        target_tokenizer=target_tokenizer(counted, opened.injection, progress),
        progress=progress,
        **options,
    )
    card = ExplainerCard(
        name=model,
        kind="local",
        revision=place.revision,
        weights_sha256=opened.hashes,
        settings=explainer.settings() | opened.about | told,
    )
    return explainer, card
