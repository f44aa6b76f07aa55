"""How active every feature is at every token of the windows, measured once and kept in shards.

Owns the shards in a work folder, so that a killed measurement goes on. Heavy libraries come with
the target, which the caller loads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from introspect_bench.benchmark.errors import IntegrityError
from introspect_bench.benchmark.tensors import write_safetensors_atomic
from introspect_bench.tasks.feature_descriptions.features import FeatureSource
from introspect_bench.tasks.feature_descriptions.windows import WINDOW

BATCH = 64
"""Windows read in one pass."""
SHARD = 1024
"""Windows of one shard."""

Progress = Callable[[str, int], None]
"""Told a stage and how many windows it just finished."""


def feature_activations(
    target: Any,
    sources: Sequence[FeatureSource],
    ids: npt.NDArray[np.int32],
    *,
    bos: int,
    work: Path,
    report: Progress,
) -> list[sparse.csc_matrix]:
    """Measure all features of some sources, one pass for all layers.

    Args:
        target: the target model (`benchmark.backends.target_model.TargetModel`).
        sources: where directions and activations come from.
        ids: windows, (n_windows, 32).
        bos: the token read before every window.
        work: folder of the shards; whatever determines the numbers but the target's weights is
            part of their names, so a folder belongs to one target.
        report: progress callback.

    Returns:
        For each source float32 (n_windows * 32, n_features); what is not positive is left out.

    Raises:
        IntegrityError: a shard is broken; delete it.
        MissingPartError: the disk is full.
    """
    parts: list[list[sparse.csr_matrix]] = [[] for _ in sources]
    for start in range(0, len(ids), SHARD):
        rows = ids[start : start + SHARD]
        paths = [work / f"{_digest(source, rows, bos)}.safetensors" for source in sources]
        if not all(path.is_file() for path in paths):
            for path, matrix in zip(
                paths, _measure(target, sources, rows, bos, report), strict=True
            ):
                _save(path, matrix)
        for part, path in zip(parts, paths, strict=True):
            part.append(_load(path))
        report("feature activations", len(rows))
    return [sparse.csc_matrix(sparse.vstack(part)) for part in parts]


def _measure(
    target: Any,
    sources: Sequence[FeatureSource],
    ids: npt.NDArray[np.int32],
    bos: int,
    report: Progress,
) -> list[sparse.csr_matrix]:
    """Measure one shard."""
    import torch

    from introspect_bench.benchmark.backends.residuals import window_residuals

    layers = sorted({source.layer for source in sources})
    found: list[list[sparse.csr_matrix]] = [[] for _ in sources]
    for start in range(0, len(ids), BATCH):
        batch = torch.from_numpy(ids[start : start + BATCH].astype(np.int64))
        residuals = window_residuals(target, batch, bos=bos, layers=layers)
        for own, source in zip(found, sources, strict=True):
            flat = residuals[source.layer].reshape(-1, target.d_model).cpu().numpy()
            values = sparse.csr_matrix(source.encode(flat)).astype(np.float32)
            values.data[values.data < 0] = 0
            values.eliminate_zeros()
            own.append(values)
        report("windows read", len(batch))
    return [sparse.csr_matrix(sparse.vstack(own)) for own in found]


def _digest(source: FeatureSource, ids: npt.NDArray[np.int32], bos: int) -> str:
    digest = hashlib.sha256(f"{source.layer}:{bos}:{WINDOW}:".encode())
    digest.update(np.ascontiguousarray(source.directions).tobytes())
    digest.update(np.ascontiguousarray(ids).tobytes())
    return digest.hexdigest()[:24]


def _save(path: Path, matrix: sparse.csr_matrix) -> None:
    matrix.sort_indices()
    write_safetensors_atomic(
        path,
        {
            "data": matrix.data.astype(np.float32),
            "indices": matrix.indices.astype(np.int32),
            "indptr": matrix.indptr.astype(np.int64),
            "shape": np.array(matrix.shape, dtype=np.int64),
        },
    )


def _load(path: Path) -> sparse.csr_matrix:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        parts = load_file(path)
        return sparse.csr_matrix(
            (parts["data"], parts["indices"], parts["indptr"]), shape=tuple(parts["shape"])
        )
    except (SafetensorError, KeyError, ValueError) as error:
        raise IntegrityError(f"{path}: not a shard of activations, delete it: {error}") from error
