"""Arrays on disk as safetensors: the only writer, atomic like all writers of the package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from . import files


def write_safetensors_atomic(path: Path, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write named arrays, in the bytes that safetensors itself would write."""
    from safetensors.numpy import save

    # safetensors writes the memory of a transposed array as if it were in order
    ordered = {name: np.asarray(value, order="C") for name, value in tensors.items()}
    files.write_bytes_atomic(path, save(ordered))
