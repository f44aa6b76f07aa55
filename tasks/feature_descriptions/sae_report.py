"""The report of trained autoencoders on held-out windows: one JSON object.

What is measured, and its formulas, is in `benchmark.backends.sae_report`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.files import write_json_atomic

SCHEMA = "introspect-bench/sae-report/1"
"""Schema of the report."""
LOSS_WINDOWS = 256
"""Windows on which losses are measured: each takes 1 + 3 forward passes for every layer."""


def write_report(
    target: Any,
    folders: Mapping[int, Path],
    ids: npt.NDArray[np.int32],
    out: Path,
    *,
    bos: int,
    chunk: int = 128,
    loss_windows: int = LOSS_WINDOWS,
) -> dict[str, Any]:
    """Measure autoencoders and write the report.

    Args:
        target: the target model (`benchmark.backends.target_model.TargetModel`).
        folders: each layer's autoencoder, from `sae_train.train`.
        ids: token ids of windows that were not trained on, int32 (n_windows, 32).
        out: file to be written.
        bos: token read before every window.
        chunk: windows of one forward pass.
        loss_windows: windows, the first ones, on which losses are measured.

    Returns:
        `{"schema", "loss_windows", "layers": {layer: {"latents", "unexplained", "l0", "dead",
        "tokens", "capped", "loss_clean", "loss_reconstructed", "loss_zero", "loss_mean",
        "recovered_zero", "recovered_mean"}}}`.

    Raises:
        UsageError: there are no windows, or no folders.
        MissingPartError: a folder holds no autoencoder.
    """
    from introspect_bench.benchmark.backends import sae_report
    from introspect_bench.benchmark.backends.sae_formats import read_autoencoder

    if not len(ids) or not folders:
        raise UsageError("a report needs windows and autoencoders")
    device = str(target.device)
    autoencoders = {
        layer: read_autoencoder(folder, layer=layer, device=device)[1]
        for layer, folder in folders.items()
    }
    kept = ids[:loss_windows]
    shapes = sae_report.reconstruction(target, autoencoders, ids, bos=bos, chunk=chunk)
    losses = sae_report.recovered(target, autoencoders, kept, bos=bos, chunk=chunk)
    layers = {
        str(layer): {
            "latents": len(autoencoder.directions),
            **shapes[layer],
            "tokens": int(shapes[layer]["tokens"]),
            **losses[layer],
        }
        for layer, autoencoder in autoencoders.items()
    }
    report = {"schema": SCHEMA, "loss_windows": len(kept), "layers": layers}
    write_json_atomic(out, report)
    return report
