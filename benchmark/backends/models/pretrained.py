"""The only door for weights and tokenizers, and for the name of a device.

Safetensors from a folder that is already here; code that comes with weights is never run. What
transformers raises becomes one sentence: corrupt files are an `IntegrityError`, missing ones a
`MissingPartError`, and what cannot be loaded for another reason a `UsageError`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from ... import files
from ...errors import IntegrityError, MissingPartError, UsageError
from ...models.targets import weight_files
from ...models.withheld import refuse_target, withheld

INDEX = "model.safetensors.index.json"
"""Says which file of a model in several files holds which tensor."""

VOCABULARIES = ("tokenizer.json", "*.model", "vocab*", "*.vocab", "*.tiktoken", "tekken.json")
"""Files a tokenizer is made of."""


def usable_device(name: str) -> torch.device:
    """The device of a name, if it can hold a number on this machine."""
    examples = "expected such as cpu, cuda, cuda:1, mps"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"unknown device '{name}': {examples}") from error
    if device.type == "meta":
        raise UsageError(f"device 'meta' holds no numbers: {examples}")
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, ImportError) as error:  # each backend has its own way
        raise MissingPartError(
            f"device {name}: this machine has no usable {device.type.upper()} device of that name; "
            "choose another, such as cpu"
        ) from error
    return device


def load_model(directory: Path, dtype: torch.dtype) -> Any:
    """Load the weights of a causal language model; refuses those of a withheld target."""
    _check_files(directory)
    if withheld() is not None:
        refuse_target("", weight_files(directory).values())
    options = {"dtype": dtype, "use_safetensors": True, "output_loading_info": True}
    model, found = from_folder(AutoModelForCausalLM, directory, **options)
    # transformers would fill them with random numbers
    if lacking := sorted(found["missing_keys"]):
        raise IntegrityError(
            f"{directory}: its weight files lack {lacking[0]}, and {len(lacking)} in all, which "
            "this architecture needs; get the files again"
        )
    return model


def load_tokenizer(directory: Path) -> Any:
    """Load the tokenizer of a model."""
    if not any(any(directory.glob(pattern)) for pattern in VOCABULARIES):
        raise MissingPartError(
            f"{directory} holds no tokenizer, such as tokenizer.json; save it beside the weights"
        )
    return from_folder(AutoTokenizer, directory)


def from_folder(factory: Any, directory: Path, **arguments: Any) -> Any:
    """Call `factory.from_pretrained` on a folder: no network, no code of the model's own."""
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


def dequantise_gguf(gguf_path: Path, out_dir: Path) -> None:
    """Unpack a GGUF file, with its tokenizer, into an existing folder that loads like any other."""
    folder, name = gguf_path.parent, gguf_path.name
    model = from_folder(
        AutoModelForCausalLM,
        folder,
        gguf_file=name,
        # without this the weights stay packed, which is slow and cannot be saved
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.float32,
    )
    try:
        model.save_pretrained(out_dir)
    except SafetensorError as error:
        raise MissingPartError(
            f"cannot write {out_dir / 'model.safetensors'}: {error}; make room on the disk and run "
            "the same command again"
        ) from error
    from_folder(AutoTokenizer, folder, gguf_file=name).save_pretrained(out_dir)
