"""A suite whose truth is descriptions and activations of features: its arrays, and their checks.

Row `i` is about line `i` of `queries.jsonl`. `windows` is for judges and no truth: tokens, the
marked token of each window, which marks are compared, and the weights of random windows.
`activations` is truth. `definitions` computes the activations again from the target alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import IntegrityError, check_choice
from ..files import canonical_json, parse_safetensors, sha256_bytes
from ..records import FeatureTruth, Query

if TYPE_CHECKING:
    from .suite import Suite

WINDOWS = 16
MATCHED = 8  # Those with a marked token, strong in half of them; a feature of kind `token` has none
WINDOW = 32  # Windows of a feature, and tokens of a window
WORDINGS = 3  # Fewest wordings of a reference description
# Kinds of features: of the current token, which have random windows alone; of the context, of which
# the last two tokens of matched windows are the same. Of any other kind the last one is.
TOKEN, BIGRAM = "token", "bigram"

_TOKENS = (WINDOWS, WINDOW)
_EACH = (WINDOWS,)
Form = tuple[type[np.generic], tuple[int | None, ...]]
# Files by name: their tensors with dtype and shape after the first axis, which is the query's; None
# is any length
PARTS: Mapping[str, Mapping[str, Form]] = {
    "windows": {
        "ids": (np.int32, _TOKENS),
        "marks": (np.int8, _EACH),
        "pair_group": (np.int8, _EACH),
        "weights": (np.float32, _EACH),
    },
    "activations": {"activations": (np.float16, _TOKENS), "strong": (np.uint8, _EACH)},
    "definitions": {
        "encoder": (np.float32, (None,)),
        "bias": (np.float32, ()),
        "threshold": (np.float32, ()),
        "token": (np.float32, _TOKENS),
    },
}
# Further tensors of these files, whose first axis is the layer's
OF_LAYERS: Mapping[str, Mapping[str, Form]] = {
    "definitions": {
        "layers": (np.int32, ()),
        "mean": (np.float32, (None,)),
        "cap": (np.float32, ()),
    }
}
SUM = 1e-3  # How far the weights of a feature's random windows may sum from 1

Arrays = dict[str, npt.NDArray[Any]]


def asked_id(
    task: str, kind: str, fields: Mapping[str, Any], vector: npt.NDArray[np.float16] | None
) -> str:
    """Content hash of a query: task, kind, fields and vector bytes; 16 hexadecimal digits."""
    digest = None if vector is None else sha256_bytes(vector.tobytes())
    asked = {"task": task, "kind": kind, "fields": fields, "vector": digest}
    return sha256_bytes(canonical_json(asked).encode())[:16]


def arrays(suite: Suite, split: str, part: str) -> Arrays:
    """Return one of a split's `PARTS`; row `i` is about query `i` of `suite.queries(split)`."""
    check_choice("part", part, PARTS)
    folder = suite.folder(split)
    name = f"{folder}/{part}.safetensors"
    where = f"{suite.root / name}"
    found = parse_safetensors(suite.read(name), where)
    queries = suite.queries(folder)
    _check(found, part, len(queries), where)
    kept = {query.id for query in suite.queries(split)}
    rows = np.array([query.id in kept for query in queries], dtype=np.bool_)
    return {key: value[rows] if key in PARTS[part] else value for key, value in found.items()}


def verify_split(suite: Suite, split: str) -> None:
    """Check all truth and arrays of a split, and that they are about each other."""
    for key, known in suite.feature_truth(split).items():
        if len(set(known.descriptions)) < WORDINGS or not all(known.descriptions):
            raise IntegrityError(f"{suite.root}: {split} has too few wordings for {key}")
    queries = suite.queries(split)
    windows, truth, definitions = (arrays(suite, split, part) for part in PARTS)
    layers = definitions["layers"].tolist()
    for row, query in enumerate(queries):
        where = f"{suite.root / split}: query {query.id}"
        own = {name: value[row] for name, value in (windows | truth).items()}
        _check_windows(query, own, where)
        if query.fields.get("layer") not in layers:
            raise IntegrityError(f"{where}: definitions have no layer {query.fields.get('layer')}")


def _check_windows(query: Query, own: Mapping[str, npt.NDArray[Any]], where: str) -> None:
    marks, group, weights = own["marks"], own["pair_group"], own["weights"]
    marked, strong = marks >= 0, own["strong"] > 0
    least = 1 if query.kind == BIGRAM else 0
    wanted = 0 if query.kind == TOKEN else MATCHED
    if marked.sum() != wanted or strong.sum() != wanted // 2 or ((marks < least) & marked).any():
        raise IntegrityError(f"{where}: its windows are not marked as those of {query.kind} are")
    if ((group >= 0) != marked).any() or ((weights > 0) == marked).any():
        raise IntegrityError(f"{where}: a window must be either marked, in a group, or have weight")
    if abs(float(weights.sum()) - 1) > SUM:
        raise IntegrityError(f"{where}: weights of random windows sum to {weights.sum():.4f}")
    peaks = own["activations"].max(axis=1)
    if not (peaks[~marked] > 0).any() or not (peaks[~marked] == 0).any():
        raise IntegrityError(f"{where}: random windows must show it active, and silent")
    rows = np.flatnonzero(marked)
    at = marks[rows].astype(np.int64)
    if ((own["activations"][rows, at] > 0) != strong[rows]).any() or strong[~marked].any():
        raise IntegrityError(f"{where}: a silent mark is not silent, or a strong one is")
    for number in np.unique(group[rows]).tolist():
        here = group[rows] == number
        places = zip(rows[here].tolist(), at[here].tolist(), strict=True)
        keys = {tuple(own["ids"][row, place - least : place + 1]) for row, place in places}
        if len(keys) > 1 or len(set(strong[rows][here].tolist())) < 2:
            raise IntegrityError(f"{where}: marks of group {number} are not matched")


def _check(found: Arrays, part: str, n_queries: int, where: str) -> None:
    of_layers = OF_LAYERS.get(part, {})
    expected = {**PARTS[part], **of_layers}
    if found.keys() != expected.keys():
        raise IntegrityError(f"{where}: tensors are {sorted(found)}, expected {sorted(expected)}")
    n_layers = found["layers"].size if of_layers else 0
    for name, (dtype, shape) in expected.items():
        value, n, of = found[name], n_queries, "queries"
        if name in of_layers:
            n, of = n_layers, "layers"
        sizes = zip(value.shape[1:], shape, strict=False)
        fits = value.ndim == 1 + len(shape) and all(b in (a, None) for a, b in sizes)
        if value.dtype != dtype or not fits or len(value) != n:
            raise IntegrityError(
                f"{where}: {name} is {value.dtype} {value.shape}, expected {dtype.__name__} "
                f"of {n} {of}"
            )
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise IntegrityError(f"{where}: {name} holds a number that is not finite")
    for name in ("ids", "weights", "activations", "threshold", "cap"):
        if name in found and found[name].min(initial=0) < 0:
            raise IntegrityError(f"{where}: a number of {name} is negative")
    if "marks" in found and not np.isin(found["marks"], range(-1, WINDOW)).all():
        raise IntegrityError(f"{where}: a mark is no place of a window")
    if of_layers and found["encoder"].shape[1] != found["mean"].shape[1]:
        raise IntegrityError(f"{where}: encoder and mean are of different width")


def feature_truth(row: Mapping[str, Any]) -> FeatureTruth:
    """Read the fields of a line of `truth.jsonl` besides its id, which the caller has checked."""
    descriptions = row.get("descriptions")
    if not isinstance(descriptions, list) or not all(isinstance(d, str) for d in descriptions):
        raise IntegrityError("field descriptions is not a list of texts")
    if row.keys() == {"id", "descriptions"} and all(descriptions) and descriptions:
        return FeatureTruth(id=row["id"], descriptions=tuple(descriptions))
    names = ("r_search", "r_held_out", "token_r", "bigram_r", "nearest_train")
    areas = ("token_auroc", "bigram_auroc")
    if row.keys() != {"id", "descriptions", "predicate", *names, *areas}:
        raise IntegrityError(f"keys are {sorted(row)}")
    if not isinstance(row["predicate"], str):
        raise IntegrityError("field predicate is not text")
    numbers: dict[str, Any] = {}
    for name in (*names, *areas):
        value, known = row[name], type(row[name]) in (int, float)
        if name in names and not (known and -1.01 <= value <= 1.01):
            raise IntegrityError(f"field {name} is not a correlation or a cosine")
        if name in areas and value is not None and not (known and 0 <= value <= 1):
            raise IntegrityError(f"field {name} is not an AUROC or null")
        numbers[name] = None if value is None else float(value)
    return FeatureTruth(
        id=row["id"], descriptions=tuple(descriptions), predicate=row["predicate"], **numbers
    )
