"""Writes the files of a suite of feature descriptions; causal suites are written by `freeze.py`.

Bytes depend on the measured features alone. Row `i` of every array is line `i` of `queries.jsonl`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from introspect_bench.benchmark.errors import IntegrityError
from introspect_bench.benchmark.files import canonical_json, sha256_bytes, write_jsonl_atomic
from introspect_bench.benchmark.tensors import write_safetensors_atomic

Halves = npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredFeature:
    """A described feature about to be frozen."""

    kind: str
    """`sae`, `activation` or `difference`."""
    fields: Mapping[str, Any]
    """What prompts may use: its layer."""
    group: str
    """Names its cluster of near-duplicate vectors, which share a group."""
    vector: Halves
    """Unit direction, float16 (d_target,)."""
    descriptions: tuple[str, ...]
    """Wordings of the reference description, at least three."""
    predicate: str
    """Name of the predicate they are wordings of."""
    r_search: float
    """Correlation of predicate and activation on the half it was found on."""
    r_held_out: float
    """Correlation on the other half."""
    nearest_train: float
    """Largest cosine with another vector of the training split."""
    window_r: float
    """Correlation on the held-out windows alone."""
    kinds: npt.NDArray[np.uint8]
    """Kinds of the windows in both halves, (8,)."""
    ids: npt.NDArray[np.int32]
    """Held-out windows, token ids, (8, 32)."""
    activations: Halves
    """True activations there, (8, 32)."""
    oracle_ids: npt.NDArray[np.int32]
    """Windows of the describing half, (8, 32)."""
    oracle_activations: Halves
    """True activations there, (8, 32)."""
    foreign_ids: npt.NDArray[np.int32] | None = None
    """Windows of other features, (8, 32), for training simulators; not written."""
    foreign_activations: Halves | None = None
    """True activations there, (8, 32)."""


def feature_query_id(task: str, feature: MeasuredFeature) -> str:
    """Content hash of a query, see `asked_id`."""
    return asked_id(task, feature.kind, feature.fields, feature.vector)


def asked_id(task: str, kind: str, fields: Mapping[str, Any], vector: Halves) -> str:
    """Content hash of a query: task, kind, fields and vector bytes; 16 hexadecimal digits."""
    digest = sha256_bytes(vector.tobytes())
    asked = {"task": task, "kind": kind, "fields": fields, "vector": digest}
    return sha256_bytes(canonical_json(asked).encode())[:16]


def write_feature_split(
    root: Path, task: str, features: Sequence[MeasuredFeature]
) -> dict[str, int]:
    """Write one split's files and return its counts.

    Args:
        root: folder of the split.
        task: task name, part of every id.
        features: at least one.

    Raises:
        IntegrityError: two features are the same query, a number is not finite, or a description
            has fewer than three wordings.
        MissingPartError: the disk is full or the folder can't be written.
    """
    rows = sorted(
        (sha256_bytes(one.group.encode())[:16], feature_query_id(task, one), place)
        for place, one in enumerate(features)
    )
    if len({key for _, key, _ in rows}) < len(rows):
        raise IntegrityError(f"{task}: two queries of {root.name} are the same query")
    ordered = [(group, key, features[place]) for group, key, place in rows]
    for _, key, one in ordered:
        _check(key, one)
    write_jsonl_atomic(
        root / "queries.jsonl",
        [
            {
                "id": key,
                "group": group,
                "kind": one.kind,
                "vector": row,
                "fields": dict(one.fields),
            }
            for row, (group, key, one) in enumerate(ordered)
        ],
    )
    write_jsonl_atomic(root / "truth.jsonl", [_truth(key, one) for _, key, one in ordered])
    _write_arrays(root, [one for _, _, one in ordered])
    return {"queries": len(rows), "groups": len({group for group, _, _ in rows})}


def write_reference(
    root: Path,
    predicted: npt.NDArray[np.uint8],
    embedding: npt.NDArray[np.int8],
    silent: npt.NDArray[np.float16],
) -> None:
    """Write what the judges make of the reference descriptions of a split.

    Args:
        root: folder of the split.
        predicted: the simulator's predictions, 25.5 for each unit, (n, 8, 32).
        embedding: embeddings of three wordings, 127 for 1, (n, 3, width).
        silent: the simulator's predictions without a description, (n, 8, 32).

    Raises:
        MissingPartError: the disk is full or the folder can't be written.
    """
    write_safetensors_atomic(
        root / "reference.safetensors", {"predicted": predicted, "embedding": embedding}
    )
    write_safetensors_atomic(root / "silent.safetensors", {"predicted": silent})


def _truth(key: str, one: MeasuredFeature) -> dict[str, Any]:
    return {
        "id": key,
        "descriptions": list(one.descriptions),
        "predicate": one.predicate,
        "r_search": round(one.r_search, 6),
        "r_held_out": round(one.r_held_out, 6),
        "nearest_train": round(one.nearest_train, 6),
        "window_r": round(one.window_r, 6),
    }


def _write_arrays(root: Path, ordered: Sequence[MeasuredFeature]) -> None:
    kinds = np.stack([one.kinds for one in ordered])
    arrays: dict[str, dict[str, npt.NDArray[Any]]] = {
        "vectors": {"vectors": np.stack([one.vector for one in ordered])},
        "windows": {"ids": np.stack([one.ids for one in ordered])},
        "activations": {
            "activations": np.stack([one.activations for one in ordered]),
            "kinds": kinds,
        },
        "oracle": {
            "ids": np.stack([one.oracle_ids for one in ordered]),
            "activations": np.stack([one.oracle_activations for one in ordered]),
            "kinds": kinds,
        },
    }
    for name, tensors in arrays.items():
        write_safetensors_atomic(root / f"{name}.safetensors", tensors)


def _check(key: str, one: MeasuredFeature) -> None:
    """Refuse what no suite may hold."""
    if len(set(one.descriptions)) < 3:
        raise IntegrityError(f"feature {key}: fewer than three wordings of its description")
    for what in (one.vector, one.activations, one.oracle_activations):
        if what.dtype != np.float16 or not np.isfinite(what).all():
            raise IntegrityError(f"feature {key}: a number is not finite float16")
    if not np.isfinite([one.r_search, one.r_held_out, one.nearest_train, one.window_r]).all():
        raise IntegrityError(f"feature {key}: a correlation is not finite")
