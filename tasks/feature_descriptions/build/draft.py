"""Features of context as they are written, and read again.

Owns the record and a split's files. Row `i` of every array is line `i` of `queries.jsonl`. Files:
`queries.jsonl` and `vectors` (what is asked), `windows` (for judges: tokens, marks, which marks are
compared, weights of random windows), `truth.jsonl` and `activations` (truth), `definitions` (what
computes the activations again from the target alone).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ....benchmark.errors import IntegrityError
from ....benchmark.files import sha256_bytes, write_jsonl_atomic, write_safetensors_atomic
from ....benchmark.suite.features import asked_id
from .find import Described
from .table import capped

Floats = npt.NDArray[np.float32]
_SCORES = ("r_search", "r_held_out", "token_r", "bigram_r", "token_auroc", "bigram_auroc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What computes a feature's activations on its windows from residuals."""

    mean: Floats
    """Mean residual of the layer, (d_model,)."""
    cap: float
    """Greatest length of a centred residual."""
    encoder: Floats
    """Its row of the encoder, times the gain, (d_model,)."""
    bias: float
    """Added to the product."""
    threshold: float
    """An activation below it is 0."""
    token: Floats
    """The token table's part, its row times `encoder`, at every token of the windows, (16, 32)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextFeature:
    """A described feature about to be frozen."""

    kind: str
    """`bigram`, `context-token` or `token`."""
    layer: int
    """0-based decoder layer."""
    group: str
    """Names its cluster of near-duplicate vectors."""
    vector: npt.NDArray[np.float16]
    """Unit direction, (d_model,)."""
    descriptions: tuple[str, ...]
    """Three wordings of the reference description."""
    described: Described
    """Name of its conjunction, and its scores."""
    nearest_train: float
    """Largest cosine with another vector of the training split."""
    ids: npt.NDArray[np.int32]
    """Windows, (16, 32), matched ones first."""
    activations: npt.NDArray[np.float16]
    """True activations there, (16, 32)."""
    marks: npt.NDArray[np.int8]
    """Position of the scored token, -1 in random windows, (16,)."""
    strong: npt.NDArray[np.bool_]
    """Whether it is strong, (16,)."""
    pair_group: npt.NDArray[np.int8]
    """Number of the marked token or bigram, -1 in random windows, (16,)."""
    weights: Floats
    """What a random window stands for, 0 for matched ones, (16,)."""
    definition: Definition
    """What computes the activations again."""

    def qid(self, task: str) -> str:
        """Content hash of the query."""
        return asked_id(task, self.kind, {"layer": self.layer}, self.vector)


def derive(residuals: npt.NDArray[np.floating], definition: Definition, token: Floats) -> Floats:
    """Compute activations again.

    Args:
        residuals: of the target after the feature's layer, (n, d_model).
        definition: of the feature.
        token: the table's part at each, (n,).

    Returns:
        float32 (n,).
    """
    given = capped(residuals, definition.mean, definition.cap)
    raw = given @ definition.encoder - token + definition.bias
    found: Floats = np.where((raw > 0) & (raw >= definition.threshold), raw, 0).astype(np.float32)
    return found


def write_split(root: Path, task: str, features: Sequence[ContextFeature]) -> dict[str, int]:
    """Write one split's files and return its counts.

    Raises:
        IntegrityError: two features are the same query, a number is not finite, a description has
            fewer than three wordings, or a silent mark is not silent.
        MissingPartError: the disk is full or the folder can't be written.
    """
    for one in features:
        _check(one)
    ordered = sorted(features, key=lambda one: (_group(one), one.qid(task)))
    if len({one.qid(task) for one in ordered}) < len(ordered):
        raise IntegrityError(f"{task}: two queries of {root.name} are the same query")
    write_jsonl_atomic(
        root / "queries.jsonl",
        [
            {
                "id": one.qid(task),
                "group": _group(one),
                "kind": one.kind,
                "vector": row,
                "fields": {"layer": one.layer},
            }
            for row, one in enumerate(ordered)
        ],
    )
    write_jsonl_atomic(root / "truth.jsonl", [_truth(task, one) for one in ordered])
    for name, tensors in _arrays(ordered).items():
        write_safetensors_atomic(root / f"{name}.safetensors", tensors)
    return {"queries": len(ordered), "groups": len({one.group for one in ordered})}


def _group(one: ContextFeature) -> str:
    return sha256_bytes(one.group.encode())[:16]


def _truth(task: str, one: ContextFeature) -> dict[str, Any]:
    scores = asdict(one.described)
    return {
        "id": one.qid(task),
        "descriptions": list(one.descriptions),
        "predicate": one.described.name,
        "nearest_train": round(one.nearest_train, 6),
        # not every feature has pairs of one bigram
        **{name: None if np.isnan(scores[name]) else round(scores[name], 6) for name in _SCORES},
    }


def _arrays(ordered: Sequence[ContextFeature]) -> Mapping[str, dict[str, npt.NDArray[Any]]]:
    definitions = [one.definition for one in ordered]
    layers = sorted({one.layer for one in ordered})
    by_layer = {one.layer: one.definition for one in ordered}
    return {
        "vectors": {"vectors": np.stack([one.vector for one in ordered])},
        "windows": {
            "ids": np.stack([one.ids for one in ordered]),
            "marks": np.stack([one.marks for one in ordered]),
            "pair_group": np.stack([one.pair_group for one in ordered]),
            "weights": np.stack([one.weights for one in ordered]),
        },
        "activations": {
            "activations": np.stack([one.activations for one in ordered]),
            "strong": np.stack([one.strong for one in ordered]).astype(np.uint8),
        },
        "definitions": {
            "encoder": np.stack([one.encoder for one in definitions]).astype(np.float32),
            "bias": np.array([one.bias for one in definitions], dtype=np.float32),
            "threshold": np.array([one.threshold for one in definitions], dtype=np.float32),
            "token": np.stack([one.token for one in definitions]),
            "layers": np.array(layers, dtype=np.int32),
            "mean": np.stack([by_layer[layer].mean for layer in layers]),
            "cap": np.array([by_layer[layer].cap for layer in layers], dtype=np.float32),
        },
    }


def _check(one: ContextFeature) -> None:
    """Refuse what no suite may hold."""
    where = f"feature {one.group} of {one.kind}"
    if len(set(one.descriptions)) < 3:
        raise IntegrityError(f"{where}: fewer than three wordings of its description")
    if not all(np.isfinite(a).all() for a in (one.vector, one.activations, one.weights)):
        raise IntegrityError(f"{where}: a number is not finite")
    rows = np.flatnonzero(one.marks >= 0)
    values = one.activations[rows, one.marks[rows]]
    if not ((values > 0) == one.strong[rows]).all():
        raise IntegrityError(f"{where}: a silent mark is not silent, or a strong one is")
