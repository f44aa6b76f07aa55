"""Vectors of a suite: read, and checked against the queries that point at them."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.files import canonical_json
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


def shuffled_rows(queries: Sequence[Query]) -> npt.NDArray[np.int64]:
    """Return for each vector's row that of another contrast group, as a control; never by chance.

    Queries are put in the order of a hash of their ids, and each takes the vector of the next one
    of another group: of its own kind and layers, where such a vector is as likely as the own one,
    or of any if there is none.

    Args:
        queries: all queries of a split that have vectors.

    Returns:
        int64 (n_vectors,); rows that no query points at keep their own.

    Raises:
        UsageError: all queries are of one group.
    """
    ordered = sorted(queries, key=lambda q: sha256(f"shuffled:{q.id}".encode()).digest())
    parts: dict[str, list[Query]] = {}
    for query in ordered:
        layers = [query.fields.get(name) for name in ("layers", "layer")]
        parts.setdefault(canonical_json([query.kind, layers]), []).append(query)
    last = max(query.vector for query in queries if query.vector is not None)
    rows = np.arange(last + 1)
    for part in parts.values():
        for place, query in enumerate(part):
            around = part[place + 1 :] + part[:place] + ordered
            other = next((one for one in around if one.group != query.group), None)
            if other is None or query.vector is None or other.vector is None:
                raise UsageError("all queries are of one group; vectors cannot be shuffled")
            rows[query.vector] = other.vector
    return rows


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
