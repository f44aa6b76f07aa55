"""Vectors of a suite: read, and checked against the queries that point at them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from introspect_bench.benchmark.errors import IntegrityError
from introspect_bench.benchmark.records import Query

if TYPE_CHECKING:
    from introspect_bench.benchmark.suite import Suite


def checked_vectors(
    suite: Suite, split: str, queries: Sequence[Query]
) -> npt.NDArray[np.float16] | None:
    """Return the vectors the queries point at, float16 (n_vectors, d_target), or None if none does.

    Raises:
        IntegrityError: some queries have a vector and others none, or a row does not exist.
    """
    rows = [query.vector for query in queries if query.vector is not None]
    if not rows:
        return None
    if len(rows) != len(queries):
        raise IntegrityError(
            f"{suite.root}: some queries of {split} have a vector and some have none"
        )
    vectors = suite.vectors(split)
    if max(rows) >= len(vectors):
        raise IntegrityError(
            f"{suite.root}: {split} has {len(vectors)} vectors, a query asks for row {max(rows)}"
        )
    return vectors


def read_vectors(suite: Suite, split: str) -> npt.NDArray[np.float16]:
    """Return the vectors of a split, float16 (n_vectors, d_target).

    Raises:
        UsageError: no such split, or the suite has no vectors.
        IntegrityError: the file is not what the manifest says, or is not finite float16.
    """
    # Imported here: a text-only suite does not need it.
    from safetensors import SafetensorError
    from safetensors.numpy import load

    name = f"{suite.folder(split)}/vectors.safetensors"
    try:
        tensors = load(suite.read(name))
    except SafetensorError as error:
        raise IntegrityError(f"{suite.root / name}: not a safetensors file: {error}") from error
    if set(tensors) != {"vectors"}:
        raise IntegrityError(
            f"{suite.root / name}: expected one tensor `vectors`, found {sorted(tensors)}"
        )
    found = tensors["vectors"]
    if found.ndim != 2 or found.dtype != np.float16:
        raise IntegrityError(
            f"{suite.root / name}: expected float16 (n_vectors, d_target), "
            f"found {found.dtype} {found.shape}"
        )
    if not np.isfinite(found).all():
        raise IntegrityError(f"{suite.root / name}: a vector is not finite")
    return found
