"""One line of a suite's files to one record: exact keys and types; `part`, `origin` may lack.

Owns the row formats. Every function returns `(query id, record)` or raises an `IntegrityError` that
names the field; the caller adds file and line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from introspect_bench.benchmark import suite_features
from introspect_bench.benchmark.errors import IntegrityError
from introspect_bench.benchmark.records import FeatureTruth, GroundTruth, Query

_ID = re.compile("[0-9a-f]{16}")


def query(row: Mapping[str, Any]) -> tuple[str, Query]:
    """Read a line of `queries.jsonl`."""
    _keys(row, "id", "group", "kind", "vector", "fields")
    vector = _value(row, "vector", int, type(None))
    if vector is not None and vector < 0:
        raise IntegrityError(f"field vector is {vector}")
    found = Query(
        id=_hex_id(row, "id"),
        group=_hex_id(row, "group"),
        kind=_value(row, "kind", str),
        fields=_value(row, "fields", dict),
        vector=vector,
    )
    return found.id, found


def ground_truth(row: Mapping[str, Any]) -> tuple[str, GroundTruth]:
    """Read a line of `truth.jsonl`."""
    row = {"nearest_train": None, **row}
    names = ("id", "clean", "outcome", "clean_ids", "outcome_ids", "margin", "nearest_train")
    _keys(row, *names, *row.keys() & {"part"})
    nearest = _value(row, "nearest_train", float, int, type(None))
    truth = GroundTruth(
        id=_hex_id(row, "id"),
        clean=_value(row, "clean", str),
        outcome=_value(row, "outcome", str),
        clean_ids=_token_ids(row, "clean_ids"),
        outcome_ids=_token_ids(row, "outcome_ids"),
        margin=float(_value(row, "margin", float, int)),
        nearest_train=None if nearest is None else float(nearest),
        part=_value(row, "part", str) if "part" in row else None,
    )
    return truth.id, truth


def feature_truth(row: Mapping[str, Any]) -> tuple[str, FeatureTruth]:
    """Read a line of `truth.jsonl` of a suite of features."""
    return _hex_id(row, "id"), suite_features.feature_truth(row)


def oracle(row: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Read a line of `oracle.jsonl`."""
    _keys(row, "id", "clean", "source", *row.keys() & {"origin"})
    told = {"clean": _value(row, "clean", str), "source": _value(row, "source", str, type(None))}
    if "origin" in row:
        told["origin"] = _value(row, "origin", dict)
    return _hex_id(row, "id"), told


def _keys(row: Mapping[str, Any], *names: str) -> None:
    """Refuse a row whose keys are not exactly these."""
    if row.keys() != set(names):
        raise IntegrityError(f"keys are {sorted(row)}, expected {sorted(names)}")


def _value(row: Mapping[str, Any], name: str, *kinds: type) -> Any:
    """Return a field of one of the given types; a bool is no int."""
    if type(row[name]) not in kinds:
        raise IntegrityError(f"field {name} is a {type(row[name]).__name__}")
    return row[name]


def _hex_id(row: Mapping[str, Any], name: str) -> str:
    value: object = row.get(name)
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise IntegrityError(f"field {name} is not 16 hexadecimal digits")
    return value


def _token_ids(row: Mapping[str, Any], name: str) -> tuple[int, ...]:
    values = _value(row, name, list)
    if not all(type(value) is int and value >= 0 for value in values):
        raise IntegrityError(f"field {name} is not a list of token ids")
    return tuple(values)
