"""Arrays on disk as safetensors: the only writer, atomic like every other writer of the package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from . import files


def write_safetensors_atomic(path: Path, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write named arrays of any shape and dtype: the file is the old one or the new one.

    The bytes are those that safetensors itself would write; they are held in memory once more.

    Args:
        path: the file; its folder is made.
        tensors: arrays by name.

    Raises:
        MissingPartError: the disk is full or the path can't be written; nothing is left behind.
    """
    from safetensors.numpy import save

    # safetensors writes the memory of a transposed array as if it were in order
    ordered = {name: np.asarray(value, order="C") for name, value in tensors.items()}
    files.write_bytes_atomic(path, save(ordered))
