"""From the name of a model to a `LocalExplainer` with its card.

Owns names, dtype and the card; where files come from is `targets.py` and `fetch.py`, how they are
read is `pretrained.py` and `adapters.py`.

A directory may hold `explainer.json`, which says how the explainer was trained to take vectors:
`{"injection": {"mode": ..., "layer": ..., "scaling": ..., "multiplier": ..., "slots": ...}}`, and
`{"twin": {"kind": ..., "seed": ...}}` where an adapter's base is changed before it is added, see
`twins.py`; what else is trained for it lies beside it, see `learned.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from introspect_bench.benchmark.backends.adapters import ADAPTER, merge_adapter
from introspect_bench.benchmark.backends.generation import (
    AUTO_BATCH_SIZE,
    MAX_NEW_TOKENS,
    LocalExplainer,
)
from introspect_bench.benchmark.backends.injection import Injection
from introspect_bench.benchmark.backends.learned import read_log_scale
from introspect_bench.benchmark.backends.pretrained import (
    load_model,
    load_tokenizer,
    usable_device,
)
from introspect_bench.benchmark.backends.twins import make_twin
from introspect_bench.benchmark.cache import OnProgress, silent
from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.explainer import ExplainerCard
from introspect_bench.benchmark.fetch import prepare_target
from introspect_bench.benchmark.files import read_json
from introspect_bench.benchmark.targets import (
    HubId,
    TargetSpec,
    find_name,
    hub_snapshot,
    locate,
    weight_files,
)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""Names of dtypes weights can be loaded in."""

KNOWN = frozenset({"injection", "schema", "training", "twin", "validation_loss"})
"""Keys of `explainer.json`; only `injection` and `twin` are read here."""
SETTINGS = "explainer.json"
"""Optional file of a model directory, see the module's docstring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a model lies on this machine."""

    directory: Path
    """Folder with config, tokenizer and safetensors, or with an adapter."""
    revision: str | None = None
    """Commit of a hub model."""


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


def load_local(
    model: str,
    *,
    device: str = "cpu",
    dtype: str = "auto",
    batch_size: int | None = None,
    max_new_tokens: int = MAX_NEW_TOKENS,
    injection: Injection | None = None,
    use_vectors: bool = True,
    openings: Sequence[str] = (),
    on_progress: OnProgress = silent,
) -> tuple[LocalExplainer, ExplainerCard]:
    """Load a local language model as an explainer.

    Args:
        model: folder, hub id or target name; a PEFT adapter brings its base model.
        device: a torch device.
        dtype: one of `DTYPES`, or `auto`: float32 on CPU, bfloat16 elsewhere.
        batch_size: rows decoded together; `AUTO_BATCH_SIZE` if None.
        max_new_tokens: longest reply.
        injection: how vectors enter; if None, what `explainer.json` says, else the default.
        use_vectors: False leaves vectors out.
        openings: what a reply must begin with, one of these; empty for free replies.
        on_progress: told what is happening while a target is prepared.

    Raises:
        UsageError: unknown name, device or dtype, or an architecture that cannot be loaded.
        MissingPartError: folder, weights, tokenizer, hub or device are missing.
        IntegrityError: weights are corrupt, or an adapter's are not those of its base model.
    """
    where, number = usable_device(device), _dtype(dtype, device)
    place = find_model(model, on_progress=on_progress)
    if injection is None and (place.directory / SETTINGS).is_file():
        injection = declared_injection(place.directory / SETTINGS)
    injection = injection or Injection()
    log_scale = read_log_scale(place.directory, injection)
    net, tokenizer, hashes = _load(place.directory, number, on_progress)
    explainer = LocalExplainer(
        net.to(where),
        tokenizer,
        injection=injection,
        log_scale=log_scale,
        use_vectors=use_vectors,
        batch_size=AUTO_BATCH_SIZE if batch_size is None else batch_size,
        max_new_tokens=max_new_tokens,
        openings=openings,
    )
    card = ExplainerCard(
        name=model,
        kind="local",
        revision=place.revision,
        weights_sha256=hashes,
        settings=explainer.settings(),
    )
    return explainer, card


def declared_injection(path: Path) -> Injection:
    """Read `explainer.json`.

    Raises:
        UsageError: it holds anything but a possible injection.
    """
    values = read_json(path)
    if not isinstance(values.get("injection"), dict) or not set(values) <= KNOWN:
        raise UsageError(
            f"{path}: expected injection with an object, and nothing else but what training writes"
        )
    return Injection.from_json(values["injection"])


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


def _dtype(name: str, device: str) -> torch.dtype:
    if name == "auto":
        return torch.float32 if device.startswith("cpu") else torch.bfloat16
    if name not in DTYPES:
        raise UsageError(f"unknown dtype '{name}': expected auto, {', '.join(DTYPES)}")
    return DTYPES[name]
