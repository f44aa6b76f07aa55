"""PEFT adapters: merged into their base model's weights, whole or not at all.

PEFT only warns about weights that do not match and leaves the base model as it was; here every
tensor of the adapter must find its place, and every place its tensor.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from ...errors import IntegrityError, MissingPartError, UsageError
from ...files import read_json

ADAPTER = "adapter_config.json"  # marks a directory as a PEFT adapter

WEIGHTS = "adapter_model.safetensors"  # the adapter's tensors

SHARED = ("vblora_vector_bank", "prompt_encoder", ".tinylora_v.", ".unilora_theta_d.")
"""Names of tensors that PEFT stores once for several layers: not missing where they are referred
to."""


def merge_adapter(model: Any, directory: Path) -> Any:
    """Merge the adapter in a folder into its base model, which is changed, and drop PEFT."""
    from peft import PeftModel

    config = _config(directory)
    if not (directory / WEIGHTS).is_file():
        raise MissingPartError(f"{directory} holds no {WEIGHTS}; save the adapter as safetensors")
    try:
        with warnings.catch_warnings():  # of transformers, about a name PEFT still uses
            warnings.simplefilter("ignore", FutureWarning)
            adapted = PeftModel(model, config)
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{directory}: it does not fit its base model: {error}") from error
    _fill(adapted, model, directory)
    if not hasattr(adapted, "merge_and_unload"):
        raise UsageError(f"{directory}: this kind of adapter cannot be merged into its base model")
    return adapted.merge_and_unload()


def _config(directory: Path) -> Any:
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    declared = read_json(directory / ADAPTER)
    kinds = {str(kind.value): factory for kind, factory in PEFT_TYPE_TO_CONFIG_MAPPING.items()}
    kind = declared.get("peft_type")
    if not isinstance(kind, str) or kind not in kinds:
        raise UsageError(
            f"{directory / ADAPTER}: peft_type {kind!r} is none that the installed peft knows: "
            f"{', '.join(sorted(kinds))}"
        )
    if declared.get("megatron_config"):  # PEFT would import the module that the file names
        raise UsageError(f"{directory / ADAPTER}: megatron_config is not supported")
    try:
        config = kinds[kind].from_pretrained(str(directory))
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{directory / ADAPTER}: peft cannot read it: {error}") from error
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
