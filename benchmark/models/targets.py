"""How the name of a model becomes a target.

Owns the reading of a model folder's plain facts (layers, width, hashes); the named targets are
`specs.py`'s. Loads no weights and imports no torch; downloading and preparing is `fetch.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import files
from ..errors import IntegrityError, MissingPartError, UsageError
from .specs import TARGETS as TARGETS
from .specs import Source
from .specs import TargetSpec as TargetSpec

HUB_FILES = ("*.safetensors", "*.json", "*.jinja", "*.txt", "tokenizer.model")
"""The only files taken from a hub: weights as safetensors, configuration, tokenizer. Never code."""

_HUB_ID = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?", re.ASCII)
_PATH = (".", "/", "~")  # how a path starts that is no hub id
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PICKLE = (".bin", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubId:
    """A model on a hub, as the user names it; it may not exist."""

    id: str
    """`owner/name`."""
    revision: str | None
    """Commit, branch or tag; None for the hub's default branch."""


def locate(name: str) -> TargetSpec | Path | HubId | None:
    """Say what the name of a model means here: a target, a folder, a hub id, or None of these.

    Loads and downloads nothing, so whether a hub has the model stays open. A target's name comes
    first: no folder that happens to be called so takes its place.
    """
    for spec in TARGETS:
        if spec.name == name:
            return spec
    path = home_folder(name)
    if name and path.is_dir():
        return path
    match = None if name.startswith(_PATH) or path.exists() else _HUB_ID.fullmatch(name)
    return HubId(id=match["id"], revision=match["revision"]) if match else None


def find_name(model: str) -> TargetSpec | Path | HubId:
    """Return what the name of an explainer's model means, see `locate`.

    Raises:
        UsageError: none of the three.
        MissingPartError: no such folder, or it holds no safetensors.
    """
    found = locate(model)
    if isinstance(found, Path):
        weight_paths(found)
    if found is not None:
        return found
    if model.startswith(_PATH) or home_folder(model).exists():
        raise MissingPartError(f"{model}: no such folder; give one with a model in it")
    raise UsageError(
        f"unknown model '{model}': expected baseline/NAME, a folder, owner/name[@revision] on "
        f"a hub, py:module:Class, or one of {', '.join(spec.name for spec in TARGETS)}"
    )


def home_folder(name: str) -> Path:
    """Return a path with a leading `~` replaced by the user's home, where there is one."""
    try:
        return Path(name).expanduser()
    except RuntimeError:  # no such user
        return Path(name)


def resolve_target(name: str, *, pinned: bool = False) -> TargetSpec:
    """Turn a name, a folder or a hub id into a target.

    A hub id without a revision means the hub's default branch now; its files are downloaded to
    hash them.

    Args:
        name: a name of `TARGETS`, the path of a folder, or `org/model[@revision]`.
        pinned: refuse a hub id that does not name a commit (suites need one).

    Raises:
        UsageError: none of the three; the message lists the names.
        MissingPartError: the hub cannot be reached, or the folder holds no safetensors.
        IntegrityError: the folder's configuration is not that of a causal language model.
    """
    found = locate(name)
    if isinstance(found, TargetSpec):
        return found
    if isinstance(found, Path):
        return local_target(found)
    if found is None:
        raise UsageError(
            f"unknown target {name!r}: not one of {', '.join(spec.name for spec in TARGETS)}, "
            "not a folder, not a hub id (org/model@revision)"
        )
    if pinned and not (found.revision and _COMMIT.fullmatch(found.revision)):
        raise UsageError(
            f"target {name!r} is not pinned: give the commit, as in {found.id}@<40 hex digits>"
        )
    folder = hub_snapshot(found.id, found.revision)
    return _describe(
        folder, name=found.id, source="hub", location=found.id, revision=_snapshot_commit(folder)
    )


def local_target(folder: Path) -> TargetSpec:
    """Describe a model in a folder.

    Raises:
        MissingPartError: the folder holds no safetensors.
        IntegrityError: its configuration is not that of a causal language model.
    """
    folder = folder.resolve()
    return _describe(
        folder, name=folder.name, source="local", location=str(folder), revision="local"
    )


def hub_snapshot(hub_id: str, revision: str | None = None) -> Path:
    """Download a model's safetensors, configuration and tokenizer; `HF_HUB_OFFLINE` is respected.

    Returns:
        The folder of the snapshot; files that are already there are not downloaded again.

    Raises:
        MissingPartError: the hub, the model or the revision cannot be reached.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError

    try:
        return Path(
            snapshot_download(hub_id, revision=revision, allow_patterns=list(HUB_FILES))
        ).absolute()
    except (OSError, EntryNotFoundError, HfHubHTTPError, HFValidationError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise MissingPartError(
            f"cannot get {hub_id!r}, which needs a model hub ({reason}); without one use a folder "
            f"or one of {', '.join(spec.name for spec in TARGETS)}"
        ) from error


def weight_files(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file of `weight_paths`, by name; raises as that does."""
    return {path.name: files.sha256_file(path) for path in weight_paths(folder)}


def weight_paths(folder: Path) -> list[Path]:
    """Return the safetensors files of a folder, by name.

    Raises:
        MissingPartError: there is none; a folder with pickle weights only is refused, because
            loading those can run any code.
    """
    found = sorted(folder.glob("*.safetensors"))
    if not found:
        pickles = sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLE)
        if pickles:
            raise MissingPartError(
                f"{folder} holds pickle weights ({pickles[0]}), which can run code when loaded; "
                "save the model as safetensors"
            )
        raise MissingPartError(f"{folder} holds no *.safetensors; give the folder of a model")
    return found


def layers_and_width(folder: Path) -> tuple[int, int]:
    """Read the number of decoder layers and the width from a model folder's `config.json`.

    Raises:
        UsageError: there is none.
        IntegrityError: it is not that of a causal language model.
    """
    config = files.read_json(folder / "config.json")
    # models that also see images keep the language model's sizes one level deeper
    text = config.get("text_config", config)
    return (
        _size(text, folder, "num_hidden_layers", "n_layer"),
        _size(text, folder, "hidden_size", "n_embd"),
    )


def _describe(
    folder: Path, *, name: str, source: Source, location: str, revision: str
) -> TargetSpec:
    hashes = weight_files(folder)
    n_layers, d_model = layers_and_width(folder)
    return TargetSpec(
        name=name,
        source=source,
        location=location,
        revision=revision,
        files=hashes,
        n_layers=n_layers,
        d_model=d_model,
        licence="unknown",
        chat=_has_chat_template(folder),
    )


def _size(config: Mapping[str, Any], folder: Path, *keys: str) -> int:
    for key in keys:
        value = config.get(key)
        if isinstance(value, int) and value > 0:
            return value
    raise IntegrityError(
        f"{folder / 'config.json'}: no {' or '.join(keys)}; expected a causal language model"
    )


def _has_chat_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file():
        return True
    settings = folder / "tokenizer_config.json"
    return settings.is_file() and "chat_template" in files.read_json(settings)


def _snapshot_commit(folder: Path) -> str:
    if not _COMMIT.fullmatch(folder.name):
        raise IntegrityError(f"{folder}: expected a snapshot folder named by its commit")
    return folder.name
