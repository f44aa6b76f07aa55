"""Features of context as they are written, and what a split that was written looks like.

Row `i` of every array is line `i` of `queries.jsonl`. Files of a split: `queries.jsonl` and
`vectors` (what is asked), `windows` (for judges: tokens, marks, which marks are compared, weights
of random windows), `truth.jsonl` and `activations` (truth), `definitions` (what computes the
activations again from the target alone).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ....benchmark.files import (
    parse_safetensors,
    read_jsonl,
    sha256_bytes,
    write_jsonl_atomic,
    write_safetensors_atomic,
)
from ....benchmark.suite.features import asked_id
from ..windows import Floats
from .search import Described
from .table import capped

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)  # quantiles in a split's statistics
_SCORES = ("r_search", "r_held_out", "token_r", "bigram_r", "token_auroc", "bigram_auroc")
_SPREAD = ("r_held_out", "token_r", "bigram_r", "nearest_train")


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What computes a feature's activations on its windows from residuals."""

    mean: Floats  # mean residual of the layer, (d_model,)
    cap: float  # greatest length of a centred residual
    encoder: Floats  # its row of the encoder, times the gain, (d_model,)
    bias: float  # added to the product
    threshold: float  # an activation below it is 0
    token: Floats
    """The token table's part, its row times `encoder`, at every token of the windows, (16, 32)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextFeature:
    """A described feature about to be frozen."""

    kind: str  # `bigram`, `context-token` or `token`
    layer: int  # 0-based decoder layer
    group: str  # its own name: every feature is a group
    vector: npt.NDArray[np.float16]  # unit direction, (d_model,)
    descriptions: tuple[str, ...]  # three wordings of the reference description
    described: Described  # name of its conjunction, and its scores
    nearest_train: float  # largest cosine with another vector of the training split
    ids: npt.NDArray[np.int32]  # windows, (16, 32), matched ones first
    activations: npt.NDArray[np.float16]  # true activations there, (16, 32)
    marks: npt.NDArray[np.int8]  # position of the scored token, -1 in random windows, (16,)
    strong: npt.NDArray[np.bool_]  # whether it is strong, (16,)
    pair_group: npt.NDArray[np.int8]  # number of the marked token or bigram, or -1, (16,)
    weights: Floats  # what a random window stands for, 0 for matched ones, (16,)
    definition: Definition  # what computes the activations again

    def qid(self, task: str) -> str:
        """Content hash of the query."""
        return asked_id(task, self.kind, {"layer": self.layer}, self.vector)


def derive(residuals: npt.NDArray[np.floating], definition: Definition, token: Floats) -> Floats:
    """Compute activations again, (n,).

    Residuals are the target's after the feature's layer, (n, d_model); `token` is the table's part
    at each, (n,).
    """
    given = capped(residuals, definition.mean, definition.cap)
    raw = given @ definition.encoder - token + definition.bias
    found: Floats = np.where((raw > 0) & (raw >= definition.threshold), raw, 0).astype(np.float32)
    return found


def write_split(root: Path, task: str, features: Sequence[ContextFeature]) -> dict[str, int]:
    """Write one split's files, ordered by hashes, and return its counts."""
    rows = [(sha256_bytes(one.group.encode())[:16], one.qid(task), one) for one in features]
    rows.sort(key=lambda row: row[:2])
    queries = [
        {
            "id": qid,
            "group": group,
            "kind": one.kind,
            "vector": row,
            "fields": {"layer": one.layer},
        }
        for row, (group, qid, one) in enumerate(rows)
    ]
    write_jsonl_atomic(root / "queries.jsonl", queries)
    write_jsonl_atomic(root / "truth.jsonl", [_truth(qid, one) for _, qid, one in rows])
    for name, tensors in _arrays([one for *_, one in rows]).items():
        write_safetensors_atomic(root / f"{name}.safetensors", tensors)
    return {"queries": len(rows), "groups": len({group for group, *_ in rows})}


def _truth(qid: str, one: ContextFeature) -> dict[str, Any]:
    scores = asdict(one.described)
    return {
        "id": qid,
        "descriptions": list(one.descriptions),
        "predicate": one.described.name,
        "nearest_train": round(one.nearest_train, 6),
        # not every feature has pairs of one bigram
        **{name: None if np.isnan(scores[name]) else round(scores[name], 6) for name in _SCORES},
    }


def _stacked(rows: Iterable[Any], *names: str) -> dict[str, npt.NDArray[Any]]:
    rows = list(rows)
    return {name: np.stack([getattr(one, name) for one in rows]) for name in names}


def _arrays(ordered: Sequence[ContextFeature]) -> Mapping[str, dict[str, npt.NDArray[Any]]]:
    by_layer = {one.layer: one.definition for one in ordered}
    layers = sorted(by_layer)
    truth = _stacked(ordered, "activations", "strong")
    own = _stacked((one.definition for one in ordered), "encoder", "bias", "threshold", "token")
    of_layers = _stacked((by_layer[layer] for layer in layers), "mean", "cap")
    return {
        "vectors": {"vectors": np.stack([one.vector for one in ordered])},
        "windows": _stacked(ordered, "ids", "marks", "pair_group", "weights"),
        "activations": truth | {"strong": truth["strong"].astype(np.uint8)},
        "definitions": {
            **{name: value.astype(np.float32) for name, value in (own | of_layers).items()},
            "layers": np.array(layers, dtype=np.int32),
        },
    }


def describe_split(root: Path, split: str) -> dict[str, Any]:
    """Say what a split of a suite's folder looks like, by kind of feature.

    Returns `queries`, `layers`, and for each kind `queries`, `layers`, `distinct` predicates, the
    share of the `commonest` one and quantiles of the scores of truth; for splits that are scored
    also `nearest_means_the_same`: features whose nearest training vector has the same predicate.
    """
    queries, truth = _rows(root / split / "queries.jsonl"), _rows(root / split / "truth.jsonl")
    found: dict[str, Any] = {"queries": len(queries), "layers": _layers(queries)}
    for kind in sorted({row["kind"] for row in queries}):
        places = [place for place, row in enumerate(queries) if row["kind"] == kind]
        names = Counter(truth[place]["predicate"] for place in places)
        found[kind] = {
            "queries": len(places),
            "layers": _layers([queries[place] for place in places]),
            "distinct": len(names),
            "commonest": max(names.values()) / len(places),
        }
        for name in _SPREAD:
            values = np.quantile([truth[place][name] for place in places], QUANTILES)
            rounded = [round(float(value), 6) for value in values]
            found[kind][f"{name}_quantiles"] = dict(zip(map(str, QUANTILES), rounded, strict=True))
    if split != "train":
        best = _cosines(root, split).argmax(axis=1).tolist()
        train = _rows(root / "train" / "truth.jsonl")
        pairs = zip((train[place] for place in best), truth, strict=True)
        found["nearest_means_the_same"] = sum(a["predicate"] == b["predicate"] for a, b in pairs)
    return found


def nearest_train(root: Path, split: str) -> Floats:
    """Largest cosine of each vector of a split with another one of the training split, (n,)."""
    cosines = np.sort(_cosines(root, split), axis=1)
    return np.asarray(cosines[:, -2 if split == "train" else -1])


def _cosines(root: Path, split: str) -> Floats:
    paths = [root / name / "vectors.safetensors" for name in (split, "train")]
    own, train = (
        parse_safetensors(path.read_bytes(), path)["vectors"].astype(np.float32) for path in paths
    )
    return np.asarray(own @ train.T)


def _layers(queries: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    counts = Counter(row["fields"]["layer"] for row in queries)
    return {str(layer): counts[layer] for layer in sorted(counts)}


def _rows(path: Path) -> Sequence[dict[str, Any]]:
    return [row for _, row in read_jsonl(path)]
