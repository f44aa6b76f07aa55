"""The long stages of building features of context, each kept on disk, each resumable.

Files of a work folder: windows, residuals of the fitted text (float16, one memory map a layer), the
token table and the autoencoder of each layer, and activations as sparse matrices. Several processes
may read residuals of different windows into one folder. The order of the stages is `build.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ....benchmark.files import (
    parse_safetensors,
    reading,
    write_bytes_atomic,
    write_safetensors_atomic,
)
from ..windows import WINDOW, Floats, Ids
from .sampling import Report
from .table import TokenTable, explained, fit_table

AGAIN = "delete it to have it made again"
BATCH = 64  # windows of one forward pass
SHARD = 1024  # windows of one file of activations
STRONGEST = 20  # largest coefficients whose mean a latent's threshold is a share of
THRESHOLD = 0.25
"""That share. Under TopK some latents are forced to be active on every token; below it a
coefficient counts as silence."""


def read_residuals(
    target: Any,
    ids: Ids,
    folder: Path,
    *,
    bos: int,
    layers: Sequence[int],
    report: Report,
    first: int = 0,
    last: int | None = None,
) -> None:
    """Read residuals of windows (n_windows, 32) into memory maps, or go on where it was killed.

    Of the windows from `first` to before `last`. The folder gets `residuals/LAYER.npy` and, for
    every process, a note of what it has read.
    """
    from ....benchmark.backends.interventions.trace import residual_arrays

    maps = {layer: _map(folder, layer, (ids.size, target.d_model)) for layer in layers}
    note = folder / "residuals" / f"{first}.note"
    last = len(ids) if last is None else min(last, len(ids))
    for start in range(first, last, BATCH):
        end = min(start + BATCH, last)
        if not _covered(folder, start, end):
            read = residual_arrays(target, ids[start:end], bos=bos, layers=layers)
            for layer, own in maps.items():
                flat = read[layer].reshape(-1, target.d_model)
                own[start * WINDOW : end * WINDOW] = np.clip(flat, -65504, 65504)
                own.flush()
            write_bytes_atomic(note, str(end).encode())
        report("windows read", end - start)


def residuals_done(folder: Path, n_windows: int) -> bool:
    """Whether all windows have been read."""
    return _covered(folder, 0, n_windows)


def load_residuals(folder: Path, layer: int) -> npt.NDArray[np.float16]:
    """Residuals of a layer, float16 (n_windows * 32, d_model), mapped from disk."""
    path = folder / "residuals" / f"{layer}.npy"
    with reading(path, "an array", AGAIN):
        found: npt.NDArray[np.float16] = np.load(path, mmap_mode="r")
    return found


def folder_of(layer: int, *, plain: bool = False) -> str:
    """Name of a layer's folder; in a plain one the table takes nothing off but the mean."""
    return f"{'plain' if plain else 'layers'}.{layer}"


def token_table(
    folder: Path, layer: int, tokens: Ids, embeddings: Floats, *, plain: bool = False
) -> tuple[TokenTable, float]:
    """Fit a layer's table, or load it; with the share of variance that it holds."""
    path = folder / folder_of(layer, plain=plain) / "table.safetensors"
    if not path.is_file():
        residuals = load_residuals(folder, layer)
        made = fit_table(residuals, tokens, embeddings)
        if plain:
            made = TokenTable(mean=made.mean, cap=made.cap, rows=np.zeros_like(made.rows))
        share = explained(made, residuals, tokens)
        numbers = np.array([made.cap, share], dtype=np.float32)
        write_safetensors_atomic(
            path, {"mean": made.mean, "rows": made.rows, "cap_and_share": numbers}
        )
    read = _load(path)
    cap, share = read["cap_and_share"].tolist()
    return TokenTable(mean=read["mean"], cap=cap, rows=read["rows"]), share


def autoencoder(
    folder: Path,
    layer: int,
    tokens: Ids,
    table: TokenTable,
    *,
    settings: Any,
    seed: int,
    plain: bool = False,
) -> dict[str, Floats]:
    """Train a layer's autoencoder on what its table leaves, or load it.

    Tokens are those at each residual, (n,), settings `TokenizedSettings` of the backend; the seed
    with the layer decides initial weights and order. Returns its weights, and `threshold`
    (latents,).
    """
    from ....benchmark.backends.autoencoder import top_coefficients, train_tokenized

    path = folder / folder_of(layer, plain=plain) / "autoencoder.safetensors"
    if not path.is_file():
        left = left_of(load_residuals(folder, layer), tokens, table)
        rng = np.random.default_rng([seed, layer])
        weights = train_tokenized(left, settings, rng=rng)
        top = top_coefficients(left, weights, STRONGEST)
        weights["threshold"] = (THRESHOLD * top.mean(axis=1)).astype(np.float32)
        write_safetensors_atomic(path, weights)
    return _load(path)


def left_of(residuals: npt.NDArray[np.floating], tokens: Ids, table: TokenTable) -> Floats:
    """Return what a table leaves of many residuals, float32 (n, d_model)."""
    rows = SHARD * WINDOW
    parts = [slice(start, start + rows) for start in range(0, len(tokens), rows)]
    return np.concatenate([table.left(residuals[part], tokens[part]) for part in parts])


def encode(left: Floats, weights: dict[str, Floats]) -> sparse.csr_matrix:
    """Activations of all latents, float32 (n, latents), exactly 0 below the threshold."""
    from ....benchmark.backends.autoencoder import coefficients

    pieces = list(coefficients(left, weights, weights["threshold"]))
    rows = np.concatenate([start + rows for start, rows, _, _ in pieces])
    columns = np.concatenate([columns for _, _, columns, _ in pieces])
    values = np.concatenate([values for *_, values in pieces])
    shape = (len(left), len(weights["gain"]))
    return sparse.csr_matrix((values, (rows, columns)), shape=shape, dtype=np.float32)


def fitted_activations(
    folder: Path,
    layer: int,
    tokens: Ids,
    table: TokenTable,
    weights: dict[str, Floats],
    *,
    plain: bool = False,
) -> sparse.csc_matrix:
    """Activations on the fitted text, (n_windows * 32, latents), kept on disk."""
    path = folder / folder_of(layer, plain=plain) / "fitted.npz"
    if not path.is_file():
        left = left_of(load_residuals(folder, layer), tokens, table)
        sparse.save_npz(path, sparse.csc_matrix(encode(left, weights)))
    return sparse.csc_matrix(sparse.load_npz(path))


def scored_activations(
    target: Any,
    ids: Ids,
    folder: Path,
    *,
    bos: int,
    layers: Mapping[str, tuple[int, TokenTable, dict[str, Floats]]],
    report: Report,
) -> dict[str, sparse.csc_matrix]:
    """Activations on the text that is scored, (n_windows * 32, latents) by name of the folder.

    Read in float32. Layers are decoder layer, table and weights by name of the folder, each of
    which gets shards `scored.FIRST.npz`.
    """
    from ....benchmark.backends.interventions.trace import residual_arrays

    numbers = sorted({number for number, _, _ in layers.values()})
    parts: dict[str, list[sparse.csr_matrix]] = {name: [] for name in layers}
    for start in range(0, len(ids), SHARD):
        shard = ids[start : start + SHARD]
        paths = {name: folder / name / f"scored.{start}.npz" for name in layers}
        if not all(path.is_file() for path in paths.values()):
            read = [
                residual_arrays(target, shard[at : at + BATCH], bos=bos, layers=numbers)
                for at in range(0, len(shard), BATCH)
            ]
            for name, (number, table, weights) in layers.items():
                flat = np.concatenate([one[number].reshape(-1, target.d_model) for one in read])
                left = table.left(flat, shard.ravel())
                sparse.save_npz(paths[name], encode(left, weights))
        for name, path in paths.items():
            parts[name].append(sparse.load_npz(path))
        report("windows scored", len(shard))
    return {name: sparse.csc_matrix(sparse.vstack(own)) for name, own in parts.items()}


def _map(folder: Path, layer: int, shape: tuple[int, int]) -> Any:
    path = folder / "residuals" / f"{layer}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = "r+" if path.is_file() else "w+"
    return np.lib.format.open_memmap(path, mode=mode, dtype=np.float16, shape=shape)


def _covered(folder: Path, first: int, last: int) -> bool:
    """Whether notes say that windows from `first` to `last` have all been read."""
    notes = (folder / "residuals").glob("*.note")
    spans = []
    for path in notes:
        with reading(path, "a note of what was read", AGAIN):
            spans.append((int(path.stem), int(path.read_text())))
    reached = first
    for start, end in sorted(spans):
        if start <= reached:
            reached = max(reached, end)
    return reached >= last


def _load(path: Path) -> dict[str, Floats]:
    return parse_safetensors(path.read_bytes(), path, AGAIN)
