"""What an injection learns beside an adapter: its file, and that file and declaration agree.

Owns `injection.safetensors`, which lies in the trained explainer's folder and holds `log_scale`,
float32 (1,): the natural logarithm of the factor on norm-matched vectors.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from introspect_bench.benchmark.backends.injection import Injection
from introspect_bench.benchmark.errors import IntegrityError, MissingPartError, UsageError
from introspect_bench.benchmark.tensors import write_safetensors_atomic

LEARNED = "injection.safetensors"
"""Name of the file."""
KEY = "log_scale"
"""Name of its only tensor."""


def check_learned(injection: Injection, log_scale: float | None) -> None:
    """Refuse a learned factor that is missing, or that the injection does not use.

    Raises:
        UsageError: one of both.
    """
    if injection.scaling == "learned" and log_scale is None:
        raise UsageError(
            "scaling 'learned' is for explainers that were trained with it; train one, or choose "
            "raw or norm-matched"
        )
    if injection.scaling != "learned" and log_scale is not None:
        raise UsageError(
            f"this explainer was trained with a learned scale ({LEARNED}), but its injection is "
            f"declared '{injection.scaling}'; leave --injection and --scaling out"
        )


def write_log_scale(folder: Path, log_scale: float) -> None:
    """Write the learned factor's logarithm into an explainer's folder.

    Raises:
        MissingPartError: the disk is full or the path cannot be written.
    """
    write_safetensors_atomic(folder / LEARNED, {KEY: np.array([log_scale], dtype=np.float32)})


def read_log_scale(folder: Path, injection: Injection) -> float | None:
    """Return the learned factor's logarithm, or None for an injection that learns none.

    Raises:
        MissingPartError: the injection is declared as learned and the file is not there.
        UsageError: the file is there and the injection is not declared as learned.
        IntegrityError: the file holds anything but one finite number.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = folder / LEARNED
    if not path.is_file():
        if injection.scaling == "learned":
            raise MissingPartError(f"{folder} declares a learned scale but holds no {LEARNED}")
        return None
    try:
        found = load_file(path)
    except SafetensorError as error:
        raise IntegrityError(f"{path} is cut off or corrupt: {error}; get it again") from error
    value = found.get(KEY)
    if set(found) != {KEY} or value is None or value.size != 1 or not np.isfinite(value).all():
        raise IntegrityError(f"{path}: expected {KEY} with one finite number")
    log_scale = float(value.reshape(-1)[0])
    check_learned(injection, log_scale)
    return log_scale
