"""The only door for weights and tokenizers, and for the name of a device.

Safetensors from a folder that is already here; code that comes with weights is never run, nor asked
for. What transformers raises becomes one sentence: corrupt files are an `IntegrityError`, missing
ones a `MissingPartError`, and what cannot be loaded for another reason a `UsageError`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

from ... import files
from ...errors import IntegrityError, MissingPartError, UsageError
from ...models.targets import weight_files
from ...models.withheld import refuse_target, withheld

INDEX = "model.safetensors.index.json"
"""Says which file of a model in several files holds which tensor."""

VOCABULARIES = ("tokenizer.json", "*.model", "vocab*", "*.vocab", "*.tiktoken", "tekken.json")
"""Files a tokenizer is made of; a folder without any of them has none."""


def usable_device(name: str) -> torch.device:
    """Turn the name of a device into one that can hold a number on this machine.

    Raises:
        UsageError: there is no such kind of device, or it holds no numbers.
        MissingPartError: this machine, or this build of torch, does not have it.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(
            f"unknown device '{name}': expected such as cpu, cuda, cuda:1, mps"
        ) from error
    if device.type == "meta":
        raise UsageError("device 'meta' holds no numbers: expected such as cpu, cuda, cuda:1, mps")
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, ImportError) as error:  # each backend has its own way
        raise MissingPartError(
            f"device {name}: this machine has no usable {device.type.upper()} device of that name; "
            "choose another, such as cpu"
        ) from error
    return device


def load_model(directory: Path, dtype: torch.dtype) -> Any:
    """Load the weights of a causal language model.

    Args:
        directory: folder with `config.json` and `*.safetensors`.
        dtype: of the loaded weights.

    Raises:
        MissingPartError: no safetensors, or a package that this model needs is not installed.
        IntegrityError: a weight file is cut off, or lacks weights of this architecture.
        UsageError: transformers does not know the architecture, or it would need code of its own.
        WithheldError: they are those of a target that is withheld from this process.
    """
    _check_files(directory)
    if withheld() is not None:
        refuse_target("", weight_files(directory).values())
    model, found = from_folder(
        AutoModelForCausalLM,
        directory,
        dtype=dtype,
        use_safetensors=True,
        output_loading_info=True,
    )
    # transformers would fill them with random numbers
    if lacking := sorted(found["missing_keys"]):
        raise IntegrityError(
            f"{directory}: its weight files lack {lacking[0]}, and {len(lacking)} in all, which "
            "this architecture needs; get the files again"
        )
    return model


def load_tokenizer(directory: Path) -> Any:
    """Load the tokenizer of a model.

    Raises:
        MissingPartError: the folder holds none.
        IntegrityError: its files are not JSON.
        UsageError: transformers cannot load it.
    """
    if not any(any(directory.glob(pattern)) for pattern in VOCABULARIES):
        raise MissingPartError(
            f"{directory} holds no tokenizer, such as tokenizer.json; save it beside the weights"
        )
    return from_folder(AutoTokenizer, directory)


def from_folder(factory: Any, directory: Path, **arguments: Any) -> Any:
    """Call `factory.from_pretrained` on a folder: no network, no code of the model's own.

    Args:
        factory: a class of transformers.
        directory: an existing folder.
        **arguments: passed on.

    Raises:
        MissingPartError: a package is not installed.
        IntegrityError: a file is cut off or is not JSON.
        UsageError: it cannot be loaded for another reason.
    """
    try:
        return factory.from_pretrained(
            directory, local_files_only=True, trust_remote_code=False, **arguments
        )
    except ImportError as error:
        raise MissingPartError(
            f"{directory}: loading it needs a package that is not here: {_reason(error)}"
        ) from error
    except SafetensorError as error:
        raise IntegrityError(
            f"{_broken(directory)} is cut off or corrupt: {_reason(error)}; get the file again"
        ) from error
    except json.JSONDecodeError as error:
        raise IntegrityError(f"{directory}: a file of it is not JSON: {_reason(error)}") from error
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise UsageError(f"{directory}: transformers cannot load it: {_reason(error)}") from error


def _check_files(directory: Path) -> None:
    """Refuse what would be loaded from elsewhere, from pickles or with foreign code."""
    if not any(directory.glob("*.safetensors")):
        raise MissingPartError(f"{directory} holds no *.safetensors; give the folder of a model")
    if (directory / INDEX).is_file():
        shards = files.read_json(directory / INDEX).get("weight_map")
        names = shards.values() if isinstance(shards, Mapping) else [shards]
        for name in names:
            if not isinstance(name, str) or "/" in name or not name.endswith(".safetensors"):
                raise IntegrityError(f"{directory / INDEX}: {name!r} is not a safetensors file")
    # transformers takes a name with a slash for a hub repository whose code it should run
    for key, value in _entries(_config(directory)):
        if key.endswith("_implementation") and isinstance(value, str) and "/" in value:
            raise UsageError(
                f"{directory / 'config.json'}: {key} '{value}' would run code from a hub, which is "
                "never done; remove the entry"
            )


def _config(directory: Path) -> Mapping[str, Any]:
    """What transformers would read; it says itself what is wrong with a file that is no object."""
    try:
        value = json.loads((directory / "config.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _entries(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every key of nested objects with its value; keys of `*_implementation` objects as one."""
    for key, value in config.items():
        yield key, value
        if isinstance(value, Mapping):
            for name, inner in _entries(value):
                yield (key if key.endswith("_implementation") else name), inner


def _broken(directory: Path) -> Path:
    """The first weight file that cannot be opened, or else the folder."""
    for path in sorted(directory.glob("*.safetensors")):
        try:
            with safe_open(path, framework="numpy"):
                pass
        except SafetensorError:
            return path
    return directory


def _reason(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
