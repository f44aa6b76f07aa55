"""Names of devices and dtypes, and how a model that one device does not hold is spread out."""

from __future__ import annotations

from typing import Any

import torch

from ...errors import MissingPartError, UsageError
from ...team import team

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def resolve_device(name: str) -> str:
    """`auto` is the first of cuda, mps and cpu that is here; of several processes each has its own.

    Any other name is left as it is, but `cuda` where several processes share a machine.
    """
    if name == "auto":
        if torch.cuda.is_available():
            name = "cuda"
        else:
            name = "mps" if torch.backends.mps.is_available() else "cpu"
    return f"cuda:{team().local_rank}" if name == "cuda" and team().size > 1 else name


def usable_device(name: str) -> torch.device:
    """The device of a name, if it can hold a number on this machine."""
    name, examples = resolve_device(name), "expected such as auto, cpu, cuda, cuda:1, mps"
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


def find_dtype(name: str, device: str) -> torch.dtype:
    """Return a dtype by its name; `auto` is float32 on CPU, bfloat16 elsewhere."""
    if name == "auto":
        on_cpu = resolve_device(device).startswith("cpu")
        return torch.float32 if on_cpu else torch.bfloat16
    if name not in DTYPES:
        raise UsageError(f"unknown dtype '{name}': expected auto, {', '.join(DTYPES)}")
    return DTYPES[name]


def placing(
    device: torch.device, device_map: str | None, quantization: str | None
) -> dict[str, Any]:
    """What transformers is told of where weights go and how they are packed; empty for neither.

    A device map spreads layers over all devices of the machine, then its memory; `8bit` and `4bit`
    need bitsandbytes.
    """
    found: dict[str, Any] = {}
    if device_map is not None:
        found["device_map"] = device_map
    if quantization is not None:
        from transformers import BitsAndBytesConfig

        found["device_map"] = device_map or {"": device}
        config: Any = BitsAndBytesConfig
        found["quantization_config"] = config(**{f"load_in_{quantization}": True})
    return found
