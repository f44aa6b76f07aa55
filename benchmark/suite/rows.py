"""One line of a suite's files to one record; the caller adds file and line to an error."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import IntegrityError, UsageError
from ..files import canonical_json, parse_safetensors
from ..records import GroundTruth, Query

if TYPE_CHECKING:
    from .suite import Suite

_ID = re.compile("[0-9a-f]{16}")


def query(row: Mapping[str, Any]) -> Query:
    """Read a line of `queries.jsonl`; here and below the caller has checked `id`."""
    _keys(row, "id", "group", "kind", "vector", "fields")
    vector = _value(row, "vector", int, type(None))
    if vector is not None and vector < 0:
        raise IntegrityError(f"field vector is {vector}")
    return Query(
        id=row["id"],
        group=hex_id(row, "group"),
        kind=_value(row, "kind", str),
        fields=_value(row, "fields", dict),
        vector=vector,
    )


def ground_truth(row: Mapping[str, Any]) -> GroundTruth:
    """Read a line of `truth.jsonl`."""
    row = {"nearest_train": None, **row}
    names = ("id", "clean", "outcome", "clean_ids", "outcome_ids", "margin", "nearest_train")
    _keys(row, *names, *row.keys() & {"part"})
    return GroundTruth(
        id=row["id"],
        clean=_value(row, "clean", str),
        outcome=_value(row, "outcome", str),
        clean_ids=_token_ids(row, "clean_ids"),
        outcome_ids=_token_ids(row, "outcome_ids"),
        margin=_number(row, "margin"),
        nearest_train=_number(row, "nearest_train"),
        part=_value(row, "part", str) if "part" in row else None,
    )


def oracle(row: Mapping[str, Any]) -> dict[str, Any]:
    """Read a line of `oracle.jsonl`."""
    _keys(row, "id", "clean", "source", *row.keys() & {"origin"})
    found = {"clean": _value(row, "clean", str), "source": _value(row, "source", str, type(None))}
    return found | ({"origin": _value(row, "origin", dict)} if "origin" in row else {})


def _keys(row: Mapping[str, Any], *names: str) -> None:
    if row.keys() != set(names):
        raise IntegrityError(f"keys are {sorted(row)}, expected {sorted(names)}")


def _value(row: Mapping[str, Any], name: str, *kinds: type) -> Any:
    if type(row[name]) not in kinds:
        raise IntegrityError(f"field {name} is a {type(row[name]).__name__}")
    return row[name]


def _number(row: Mapping[str, Any], name: str) -> float | None:
    value = _value(row, name, float, int, type(None))
    return None if value is None else float(value)


def hex_id(row: Mapping[str, Any], name: str) -> str:
    """Return a field of 16 hexadecimal digits."""
    value: object = row.get(name)
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise IntegrityError(f"field {name} is not 16 hexadecimal digits")
    return value


def _token_ids(row: Mapping[str, Any], name: str) -> tuple[int, ...] | None:
    values = _value(row, name, list, type(None))
    if values is None:
        return None
    if not all(type(value) is int and value >= 0 for value in values):
        raise IntegrityError(f"field {name} is not a list of token ids")
    return tuple(values)


def checked_vectors(
    suite: Suite, split: str, queries: Sequence[Query]
) -> npt.NDArray[np.float16] | None:
    """Return the vectors the queries point at, float16 (n_vectors, d_target), or None."""
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

    In the order of a hash of its id, each query takes the vector of the next one of another group:
    of its own kind and layers if there is one, else of any. int64 (n_vectors,); rows that no query
    points at keep their own.
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
    """Return the vectors of a split, float16 (n_vectors, d_target)."""
    name = f"{suite.folder(split)}/vectors.safetensors"
    tensors = parse_safetensors(suite.read(name), suite.root / name)
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
