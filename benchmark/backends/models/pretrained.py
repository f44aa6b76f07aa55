"""The only door for weights and tokenizers.

Safetensors from a folder that is already here; code that comes with weights is never run. What
transformers raises becomes one sentence: corrupt files are an `IntegrityError`, missing ones a
`MissingPartError`, and what cannot be loaded for another reason a `UsageError`.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from ... import files
from ...errors import IntegrityError, MissingPartError, UsageError
from ...files import write_safetensors_atomic
from ...models.targets import MOST, check_weights, weight_files
from ...models.withheld import refuse_target, withheld

INDEX = "model.safetensors.index.json"  # which file holds which tensor
VOCABULARIES = ("tokenizer.json", "*.model", "vocab*", "*.vocab", "*.tiktoken", "tekken.json")


def load_model(
    directory: Path,
    dtype: torch.dtype,
    hashes: Mapping[str, str] | None = None,
    placing: Mapping[str, Any] | None = None,
) -> Any:
    """Load the weights of a causal language model; refuses those of a withheld target.

    Of a prepared target, `hashes` of its weight files, made here if None, must be those recorded.
    `placing` is what transformers is told besides, such as a device map.
    """
    _check_files(directory)
    check_weights(directory, hashes)
    if withheld() is not None:
        refuse_target("", weight_files(directory).values())
    return whole_model(AutoModelForCausalLM, directory, dtype, placing or {})


def whole_model(
    factory: Any, directory: Path, dtype: torch.dtype, placing: Mapping[str, Any] = {}
) -> Any:
    """Load all weights of an architecture; transformers would draw what is missing at random."""
    options = {"dtype": dtype, "use_safetensors": True, "output_loading_info": True, **placing}
    model, found = from_folder(factory, directory, **options)
    if lacking := sorted(found["missing_keys"]):
        raise IntegrityError(
            f"{directory}: its weight files lack {lacking[0]}, and {len(lacking)} in all, which "
            "this architecture needs; get the files again"
        )
    return model


def load_tokenizer(directory: Path, *, chat_template: str | None = None) -> Any:
    """Load the tokenizer of a model, with a chat template for one that has none."""
    if not any(any(directory.glob(pattern)) for pattern in VOCABULARIES):
        raise MissingPartError(
            f"{directory} holds no tokenizer, such as tokenizer.json; save it beside the weights"
        )
    tokenizer = from_folder(AutoTokenizer, directory)
    with files.reading(directory, "a folder whose tokenizer works"):
        tokenizer("A text.")
    if chat_template is not None:
        if tokenizer.chat_template:
            raise UsageError(f"{directory} has a chat template; leave --chat-template out")
        tokenizer.chat_template = chat_template
    return tokenizer


def from_folder(factory: Any, directory: Path, **arguments: Any) -> Any:
    """Call `factory.from_pretrained` on a folder: no network, no code of the model's own."""
    for key, value in _entries(_config(directory)):
        if key in ("num_hidden_layers", "n_layer") and isinstance(value, int) and value > MOST:
            raise IntegrityError(f"{directory / 'config.json'}: {key} is more than {MOST}")
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
    except BaseException as error:
        if not files.is_fault(error):
            raise
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
    except (OSError, ValueError, RecursionError):
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


def _reason(error: BaseException) -> str:
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


ADAPTER = "adapter_config.json"  # marks a directory as a PEFT adapter
WEIGHTS = "adapter_model.safetensors"  # the adapter's tensors

SHARED = ("vblora_vector_bank", "prompt_encoder", ".tinylora_v.", ".unilora_theta_d.")
"""Names of tensors that PEFT stores once for several layers: not missing where they are referred
to."""


def merge_adapter(model: Any, directory: Path) -> Any:
    """Merge the adapter in a folder into its base model, which is changed, and drop PEFT."""
    from peft import PeftModel

    config = _adapter_config(directory)
    if not (directory / WEIGHTS).is_file():
        raise MissingPartError(f"{directory} holds no {WEIGHTS}; save the adapter as safetensors")
    try:
        with warnings.catch_warnings():  # of transformers, about a name PEFT still uses
            warnings.simplefilter("ignore", FutureWarning)
            adapted = PeftModel(model, config)
    except Exception as error:
        if not files.is_fault(error):
            raise
        raise UsageError(f"{directory}: it does not fit its base model: {error}") from error
    _fill(adapted, model, directory)
    if not hasattr(adapted, "merge_and_unload"):
        raise UsageError(f"{directory}: this kind of adapter cannot be merged into its base model")
    return adapted.merge_and_unload()


def _adapter_config(directory: Path) -> Any:
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    declared = files.read_json(directory / ADAPTER)
    kinds = {str(kind.value): factory for kind, factory in PEFT_TYPE_TO_CONFIG_MAPPING.items()}
    kind = declared.get("peft_type")
    if not isinstance(kind, str) or kind not in kinds:
        raise UsageError(
            f"{directory / ADAPTER}: peft_type {kind!r} is none that the installed peft knows: "
            f"{', '.join(sorted(kinds))}"
        )
    if declared.get("megatron_config"):  # PEFT would import the module that the file names
        raise UsageError(f"{directory / ADAPTER}: megatron_config is not supported")
    if any(isinstance(value, int) and value > MOST for _, value in _entries(declared)):
        raise UsageError(f"{directory / ADAPTER}: a number of it is more than {MOST}")
    with files.reading(directory / ADAPTER, "what peft can read"):
        config = kinds[kind].from_pretrained(str(directory))
    config.inference_mode = True
    return config


def _fill(adapted: Any, model: Any, directory: Path) -> None:
    path = directory / WEIGHTS
    try:
        found = adapted.load_adapter(
            str(directory),
            "default",
            key_mapping=getattr(model, "_checkpoint_conversion_mapping", None),
        )
    except SafetensorError as error:
        raise IntegrityError(f"{path} is cut off or corrupt: {error}; get it again") from error
    except (RuntimeError, KeyError, ValueError) as error:  # sizes, or a saved module is missing
        reason = " ".join(str(error).split())
        raise IntegrityError(f"{path} does not fit its base model: {reason}") from error
    missing = [key for key in found.missing_keys if not any(name in key for name in SHARED)]
    for keys, what in ((missing, "lacks"), (found.unexpected_keys, "holds the unknown")):
        if keys:
            raise IntegrityError(
                f"{path} {what} {sorted(keys)[0]}, and {len(keys)} such in all: these are not the "
                "weights of this adapter on this base model"
            )


def adapt(model: Any, config: Mapping[str, Any], seed: int) -> Any:
    """Put an adapter into the model; its initial weights depend on the seed alone."""
    from peft import LoraConfig, get_peft_model

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # transformers warns about a name that PEFT still uses
        warnings.simplefilter("ignore", FutureWarning)
        adapted = get_peft_model(model, LoraConfig(**config))
    generator = torch.Generator().manual_seed(seed)
    for name, value in sorted(adapted.named_parameters()):
        if "lora_A" in name:  # as PEFT's own: uniform, bounded by 1 / sqrt(width); lora_B is 0
            bound = value.shape[1] ** -0.5
            with torch.no_grad():
                value.uniform_(-bound, bound, generator=generator)
    return adapted


def write_adapter(folder: Path, adapted: Any, config: Mapping[str, Any]) -> None:
    """Write a LoRA adapter in float16; `config` are its settings and the base model's name."""
    from peft import get_peft_model_state_dict

    files.write_json_atomic(folder / ADAPTER, {"peft_type": "LORA", **config})
    state = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    tensors = {name: value.detach().cpu().half().numpy() for name, value in state.items()}
    write_safetensors_atomic(folder / WEIGHTS, tensors)


def weights_sha256(model: Any) -> str:
    """Hash a model's parameters by name, dtype and value, however its files are cut."""
    digest = hashlib.sha256()
    for name, value in sorted(model.named_parameters()):
        head = {"name": name, "dtype": str(value.dtype), "shape": list(value.shape)}
        digest.update(files.canonical_json(head).encode())
        digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()
