"""A suite whose truth is descriptions and activations of features: its arrays, and their checks.

Owns what each array file of such a suite holds. `windows` is for judges and no truth, as is
`silent`, what the simulator predicts there without a description; `activations` and `reference` are
truth; `oracle` is told to baselines that are marked as oracles.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.records import FeatureTruth

if TYPE_CHECKING:
    from introspect_bench.benchmark.suite import Suite

WINDOWS = 8
"""Windows of a feature in each half."""
WINDOW = 32
"""Tokens of a window."""
WORDINGS = 3
"""Fewest wordings of a reference description."""

_HALF = (WINDOWS, WINDOW)
_KINDS = (WINDOWS,)
PARTS: Mapping[str, Mapping[str, tuple[type[np.generic], tuple[int | None, ...]]]] = {
    "windows": {"ids": (np.int32, _HALF)},
    "activations": {"activations": (np.float16, _HALF), "kinds": (np.uint8, _KINDS)},
    "oracle": {
        "ids": (np.int32, _HALF),
        "activations": (np.float16, _HALF),
        "kinds": (np.uint8, _KINDS),
    },
    "silent": {"predicted": (np.float16, _HALF)},
    "reference": {"predicted": (np.uint8, _HALF), "embedding": (np.int8, (WORDINGS, None))},
}
"""Files by name: their tensors with dtype and shape behind the first axis, which is the query's;
None is any length."""
N_KINDS = 4
"""Kinds of windows: top, quantile, random, near-miss."""
ACTIVE, NEAR_MISS = (0, 1), 3
"""Kinds that are activating, and the one that looks like it and is not."""

Arrays = dict[str, npt.NDArray[Any]]


def arrays(suite: Suite, split: str, part: str) -> Arrays:
    """Return one of a split's array files; row `i` is about query `i` of `suite.queries(split)`.

    Args:
        suite: a suite of features.
        split: its split.
        part: one of `PARTS`.

    Raises:
        UsageError: no such split, part or file.
        IntegrityError: the file is not what the manifest says, or not of the documented form.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if part not in PARTS:
        raise UsageError(f"unknown part {part!r}; choose from {', '.join(PARTS)}")
    folder = suite.folder(split)
    name = f"{folder}/{part}.safetensors"
    where = f"{suite.root / name}"
    try:
        found: Arrays = load(suite.read(name))
    except SafetensorError as error:
        raise IntegrityError(f"{where}: not a safetensors file: {error}") from error
    queries = suite.queries(folder)
    _check(found, PARTS[part], len(queries), where)
    kept = {query.id for query in suite.queries(split)}
    rows = np.array([query.id in kept for query in queries], dtype=np.bool_)
    return {key: value[rows] for key, value in found.items()}


def verify_split(suite: Suite, split: str) -> None:
    """Check all truth and arrays of a split.

    Raises:
        IntegrityError: the first thing that is wrong.
    """
    for key, truth in suite.feature_truth(split).items():
        if len(set(truth.descriptions)) < WORDINGS or not all(truth.descriptions):
            raise IntegrityError(f"{suite.root}: {split} has too few wordings for {key}")
    for part in PARTS:
        if part in ("reference", "silent") and split == "train":
            continue
        arrays(suite, split, part)


def _check(
    found: Arrays,
    expected: Mapping[str, tuple[type[np.generic], tuple[int | None, ...]]],
    n_queries: int,
    where: str,
) -> None:
    if found.keys() != expected.keys():
        raise IntegrityError(f"{where}: tensors are {sorted(found)}, expected {sorted(expected)}")
    for name, (dtype, shape) in expected.items():
        value = found[name]
        sizes = zip(value.shape[1:], shape, strict=False)
        fits = value.ndim == 1 + len(shape) and all(b in (a, None) for a, b in sizes)
        if value.dtype != dtype or not fits or len(value) != n_queries:
            raise IntegrityError(
                f"{where}: {name} is {value.dtype} {value.shape}, expected {dtype.__name__} "
                f"of {n_queries} queries"
            )
        if value.dtype == np.float16 and not np.isfinite(value).all():
            raise IntegrityError(f"{where}: {name} holds a number that is not finite")
    if "ids" in found and found["ids"].min(initial=0) < 0:
        raise IntegrityError(f"{where}: a token id is negative")
    if "kinds" in found and found["kinds"].max(initial=0) >= N_KINDS:
        raise IntegrityError(f"{where}: a window is of no kind")
    if "kinds" in found:
        kinds = found["kinds"]
        if not all((np.isin(kinds, side).any(axis=1)).all() for side in (ACTIVE, [NEAR_MISS])):
            raise IntegrityError(f"{where}: a feature has no activating or no near-miss window")


def feature_truth(row: Mapping[str, Any]) -> FeatureTruth:
    """Read the fields of a line of `truth.jsonl` besides its id, which the caller has checked.

    Raises:
        IntegrityError: a field is missing or of another type, or a number is out of range.
    """
    names = ("r_search", "r_held_out", "nearest_train", "window_r")
    if row.keys() != {"id", "descriptions", "predicate", *names}:
        raise IntegrityError(f"keys are {sorted(row)}")
    descriptions = row["descriptions"]
    if not isinstance(descriptions, list) or not all(isinstance(d, str) for d in descriptions):
        raise IntegrityError("field descriptions is not a list of texts")
    if not isinstance(row["predicate"], str):
        raise IntegrityError("field predicate is not text")
    for name in names:
        value = row[name]
        if type(value) not in (int, float) or not -1.01 <= value <= 1.01:
            raise IntegrityError(f"field {name} is not a correlation or a cosine")
    return FeatureTruth(
        id=row["id"],
        descriptions=tuple(descriptions),
        predicate=row["predicate"],
        **{name: float(row[name]) for name in names},
    )
