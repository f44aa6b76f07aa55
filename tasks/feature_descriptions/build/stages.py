"""The long stages of building features of context, each kept on disk, each resumable.

Files of a work folder: windows, residuals of the fitted text (float16, one memory map a layer), the
token table and the autoencoder of each layer, and activations as sparse matrices. The order of the
stages is `build.py`'s.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
from ...build.order import Report
from ..windows import WINDOW, Floats, Ids
from .matched import strong_level
from .table import TokenTable, explained, fit_table

AGAIN = "delete it to have it made again"
BATCH = 64  # windows of one forward pass
SHARD = 1024  # windows of one file of activations
STRONGEST = 20  # largest coefficients whose mean a latent's threshold is a share of
THRESHOLD = 0.25
"""That share. Under TopK some latents are forced to be active on every token; below it a
coefficient counts as silence."""

Weights = dict[str, Floats]  # of an autoencoder, with thresholds


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What was fitted at one layer."""

    number: int  # 0-based decoder layer
    plain: bool = False  # whether its table takes off nothing but the mean
    table: TokenTable
    share: float  # share of the variance that the table holds
    weights: Weights
    activations: sparse.csc_matrix  # on the fitted text, (n_windows * 32, latents)

    @property
    def name(self) -> str:
        """Name of its folder."""
        return folder_of(self.number, plain=self.plain)

    def level(self, latent: int) -> float:
        """Activation from which a latent is strong, by the fitted text."""
        low, high = self.activations.indptr[latent : latent + 2]
        return strong_level(self.activations.data[low:high].astype(np.float32))


def folder_of(layer: int, *, plain: bool = False) -> str:
    """Name of a layer's folder; in a plain one the table takes nothing off but the mean."""
    return f"{'plain' if plain else 'layers'}.{layer}"


def read_residuals(
    target: Any, ids: Ids, folder: Path, *, bos: int, layers: Sequence[int], report: Report
) -> None:
    """Read residuals of windows (n_windows, 32) into memory maps, or go on where it was killed.

    The folder gets `residuals/LAYER.npy` and a note of how many windows have been read.
    """
    from ....benchmark.backends.interventions.trace import residual_arrays

    note = folder / "residuals" / "0.note"
    done = 0
    if note.is_file():
        with reading(note, "a note of what was read", AGAIN):
            done = int(note.read_text())
    if done >= len(ids):
        return
    maps = {layer: _map(folder, layer, (ids.size, target.d_model)) for layer in layers}
    for start in range(0, len(ids), BATCH):
        end = min(start + BATCH, len(ids))
        if end > done:
            read = residual_arrays(target, ids[start:end], bos=bos, layers=layers)
            for layer, own in maps.items():
                flat = read[layer].reshape(-1, target.d_model)
                own[start * WINDOW : end * WINDOW] = np.clip(flat, -65504, 65504)
                own.flush()
            write_bytes_atomic(note, str(end).encode())
        report("windows read", end - start)


def load_residuals(folder: Path, layer: int) -> npt.NDArray[np.float16]:
    """Residuals of a layer, float16 (n_windows * 32, d_model), mapped from disk."""
    path = folder / "residuals" / f"{layer}.npy"
    with reading(path, "an array", AGAIN):
        found: npt.NDArray[np.float16] = np.load(path, mmap_mode="r")
    return found


def fit_layer(
    folder: Path,
    number: int,
    tokens: Ids,
    embeddings: Floats,
    *,
    settings: Any,
    seed: int,
    plain: bool = False,
) -> Layer:
    """Fit a layer's table, train the autoencoder of what it leaves and apply it, or load them.

    Tokens are those at each residual, (n,), embeddings the target's, settings `TokenizedSettings`
    of the backend; the seed with the layer decides initial weights and order.
    """
    own = folder / folder_of(number, plain=plain)
    read = _kept(
        own / "table.safetensors",
        lambda: _fitted(load_residuals(folder, number), tokens, embeddings, plain=plain),
    )
    cap, share = read["cap_and_share"].tolist()
    table = TokenTable(mean=read["mean"], cap=cap, rows=read["rows"])

    def left() -> Floats:
        return left_of(load_residuals(folder, number), tokens, table)

    rng = np.random.default_rng([seed, number])
    weights = _kept(own / "autoencoder.safetensors", lambda: _trained(left(), settings, rng))
    path = own / "fitted.npz"
    if not path.is_file():
        _save_sparse(path, sparse.csc_matrix(encode(left(), weights)))
    return Layer(
        number=number,
        plain=plain,
        table=table,
        share=share,
        weights=weights,
        activations=sparse.csc_matrix(_load_sparse(path)),
    )


def left_of(residuals: npt.NDArray[np.floating], tokens: Ids, table: TokenTable) -> Floats:
    """Return what a table leaves of many residuals, float32 (n, d_model)."""
    rows = SHARD * WINDOW
    parts = [slice(start, start + rows) for start in range(0, len(tokens), rows)]
    return np.concatenate([table.left(residuals[part], tokens[part]) for part in parts])


def encode(left: Floats, weights: Weights) -> sparse.csr_matrix:
    """Activations of all latents, float32 (n, latents), exactly 0 below the threshold."""
    from ....benchmark.backends.autoencoder import coefficients

    pieces = list(coefficients(left, weights, weights["threshold"]))
    rows = np.concatenate([start + rows for start, rows, _, _ in pieces])
    columns = np.concatenate([columns for _, _, columns, _ in pieces])
    values = np.concatenate([values for *_, values in pieces])
    shape = (len(left), len(weights["gain"]))
    return sparse.csr_matrix((values, (rows, columns)), shape=shape, dtype=np.float32)


def scored_activations(
    target: Any, ids: Ids, folder: Path, *, bos: int, layers: Sequence[Layer], report: Report
) -> dict[str, sparse.csc_matrix]:
    """Activations on the text that is scored, (n_windows * 32, latents) by name of the layer.

    Read in float32. The folder of each layer gets shards `scored.FIRST.npz`.
    """
    from ....benchmark.backends.interventions.trace import residual_arrays

    numbers = sorted({layer.number for layer in layers})
    parts: dict[str, list[sparse.csr_matrix]] = {layer.name: [] for layer in layers}
    for start in range(0, len(ids), SHARD):
        shard = ids[start : start + SHARD]
        paths = {layer.name: folder / layer.name / f"scored.{start}.npz" for layer in layers}
        if not all(path.is_file() for path in paths.values()):
            read = [
                residual_arrays(target, shard[at : at + BATCH], bos=bos, layers=numbers)
                for at in range(0, len(shard), BATCH)
            ]
            for one in layers:
                flat = np.concatenate(
                    [part[one.number].reshape(-1, target.d_model) for part in read]
                )
                left = one.table.left(flat, shard.ravel())
                _save_sparse(paths[one.name], encode(left, one.weights))
        for name, path in paths.items():
            parts[name].append(_load_sparse(path))
        report("windows scored", len(shard))
    return {name: sparse.csc_matrix(sparse.vstack(own)) for name, own in parts.items()}


def _map(folder: Path, layer: int, shape: tuple[int, int]) -> Any:
    path = folder / "residuals" / f"{layer}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = "r+" if path.is_file() else "w+"
    return np.lib.format.open_memmap(path, mode=mode, dtype=np.float16, shape=shape)


def _fitted(
    residuals: npt.NDArray[np.float16], tokens: Ids, embeddings: Floats, *, plain: bool
) -> dict[str, Floats]:
    table = fit_table(residuals, tokens, embeddings)
    if plain:
        table = replace(table, rows=np.zeros_like(table.rows))
    numbers = [table.cap, explained(table, residuals, tokens)]
    return {
        "mean": table.mean,
        "rows": table.rows,
        "cap_and_share": np.array(numbers, dtype=np.float32),
    }


def _trained(left: Floats, settings: Any, rng: np.random.Generator) -> Weights:
    from ....benchmark.backends.autoencoder import top_coefficients, train_tokenized

    weights = train_tokenized(left, settings, rng=rng)
    top = top_coefficients(left, weights, STRONGEST)
    weights["threshold"] = (THRESHOLD * top.mean(axis=1)).astype(np.float32)
    return weights


def _kept(path: Path, make: Callable[[], dict[str, Floats]]) -> dict[str, Floats]:
    if not path.is_file():
        write_safetensors_atomic(path, make())
    return parse_safetensors(path.read_bytes(), path, AGAIN)


def _save_sparse(path: Path, matrix: sparse.spmatrix) -> None:
    """Write a matrix atomically; scipy itself would leave half a file if it is killed."""
    buffer = io.BytesIO()
    sparse.save_npz(buffer, matrix)
    write_bytes_atomic(path, buffer.getvalue())


def _load_sparse(path: Path) -> Any:
    with reading(path, "a sparse matrix", AGAIN):
        return sparse.load_npz(io.BytesIO(path.read_bytes()))
