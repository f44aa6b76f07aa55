"""Writes a suite, the only code that does, from measured queries alone; reads one back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import IntegrityError
from ..files import (
    sha256_bytes,
    sha256_file,
    write_json_atomic,
    write_jsonl_atomic,
    write_safetensors_atomic,
)
from .features import asked_id
from .manifest import SCHEMA, data_hash
from .rows import checked_vectors
from .suite import Suite

# Marks every suite's manifest, so that training corpora can filter the files out
CANARY = "introspect-bench:canary:7d1c6c1e-7f0b-4b43-9c53-1a0e6a2f54d8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A measured query about to be frozen."""

    kind: str  # Position kind or ablation kind
    fields: Mapping[str, Any]  # What prompts may use
    clean: str  # Output without the intervention
    outcome: str  # Output with it
    clean_ids: Sequence[int] | None  # Tokens of the clean output, or None
    outcome_ids: Sequence[int] | None  # Tokens of the outcome, or None
    margin: float | None  # Smallest top-1 gap over both outputs, in logits, or None
    part: str | None = None  # Letter of the part that the clean output rests on (kind `which` only)
    source: str | None = None  # The source prompt's own output (patching); for oracles only
    origin: Mapping[str, Any] | None = None  # Where the vector was read (patching); for oracles
    vector: npt.NDArray[np.float16] | None = None  # (d_target,); exactly these were measured
    nearest_train: float | None = None  # Largest centred cosine with a training vector
    place: str | None = None  # Kind of place, if `kind` does not say it; not written
    distances: Mapping[str, float] | None = None  # For statistics; not written
    descriptions: Sequence[str] | None = None  # Of a feature that was imported: its whole truth


def query_id(task: str, query: Measured) -> str:
    """Return the id of a query, see `asked_id`."""
    return asked_id(task, query.kind, query.fields, query.vector)


def write_split(root: Path, task: str, groups: Sequence[Sequence[Measured]]) -> dict[str, int]:
    """Write one split's four files, from queries group by group, and return its counts."""
    rows: list[tuple[str, str, Measured]] = []
    for members in groups:
        ids = [query_id(task, member) for member in members]
        group = sha256_bytes("".join(sorted(ids)).encode())[:16]
        rows.extend((key, group, member) for key, member in zip(ids, members, strict=True))
    rows.sort(key=lambda row: (row[1], row[0]))
    if len({key for key, _, _ in rows}) < len(rows):
        raise IntegrityError(f"{task}: two queries of {root.name} are the same query")
    vectors, index = _vectors([member for _, _, member in rows])
    if len(vectors):
        write_safetensors_atomic(root / "vectors.safetensors", {"vectors": vectors})
    write_jsonl_atomic(
        root / "queries.jsonl",
        [
            {
                "id": key,
                "group": group,
                "kind": m.kind,
                "vector": None if m.vector is None else index[m.vector.tobytes()],
                "fields": dict(m.fields),
            }
            for key, group, m in rows
        ],
    )
    write_jsonl_atomic(root / "truth.jsonl", [_truth(key, m) for key, _, m in rows])
    write_jsonl_atomic(root / "oracle.jsonl", [_oracle(key, m) for key, _, m in rows])
    return {"queries": len(rows), "groups": len(groups)}


def _truth(key: str, one: Measured) -> dict[str, Any]:
    if one.descriptions is not None:
        return {"id": key, "descriptions": list(one.descriptions)}
    return {
        "id": key,
        "clean": one.clean,
        "outcome": one.outcome,
        "clean_ids": None if one.clean_ids is None else list(one.clean_ids),
        "outcome_ids": None if one.outcome_ids is None else list(one.outcome_ids),
        "margin": None if one.margin is None else round(one.margin, 6),
        "nearest_train": None if one.nearest_train is None else round(one.nearest_train, 6),
        **({} if one.part is None else {"part": one.part}),
    }


def _oracle(key: str, one: Measured) -> dict[str, Any]:
    origin = {} if one.origin is None else {"origin": dict(one.origin)}
    return {"id": key, "clean": one.clean, "source": one.source, **origin}


def _vectors(members: Sequence[Measured]) -> tuple[npt.NDArray[np.float16], dict[bytes, int]]:
    index: dict[bytes, int] = {}
    table: list[npt.NDArray[np.float16]] = []
    for member in members:
        if member.vector is None:
            continue
        if member.vector.dtype != np.float16 or not np.isfinite(member.vector).all():
            raise IntegrityError("a vector is not finite float16")
        key = member.vector.tobytes()
        if key not in index:
            index[key] = len(table)
            table.append(member.vector)
    return (np.stack(table) if table else np.zeros((0, 0), np.float16)), index


def write_manifest(root: Path, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Hash every file below `root` and write `manifest.json` with the given fields."""
    files = {
        path.relative_to(root).as_posix(): {
            "sha256": sha256_file(path),
            "bytes": path.stat().st_size,
        }
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.suffix in {".jsonl", ".safetensors"}
    }
    manifest = {
        "schema": SCHEMA,
        **fields,
        "files": files,
        "data_sha256": data_hash(files),
        "canary": CANARY,
    }
    write_json_atomic(root / "manifest.json", manifest)
    return manifest


def measured(suite: Suite, split: str) -> list[list[Measured]]:
    """Return the queries of a split with their truth, by group, after checking their ids."""
    queries, truths, oracle = suite.queries(split), suite.truth(split), suite.oracle(split)
    vectors = checked_vectors(suite, split, queries)
    path = suite.root / split / "queries.jsonl"
    groups: dict[str, dict[str, Measured]] = {}
    for query in queries:
        truth = truths[query.id]
        vector = None if vectors is None or query.vector is None else vectors[query.vector]
        one = Measured(
            kind=query.kind,
            fields=query.fields,
            clean=truth.clean,
            outcome=truth.outcome,
            clean_ids=truth.clean_ids,
            outcome_ids=truth.outcome_ids,
            margin=truth.margin,
            part=truth.part,
            source=oracle[query.id]["source"],
            origin=oracle[query.id].get("origin"),
            vector=vector,
        )
        if (found := query_id(suite.task, one)) != query.id:
            raise IntegrityError(f"{path}: id {query.id} is not the hash of its query, {found}")
        groups.setdefault(query.group, {})[query.id] = one
    for group, members in groups.items():
        found = sha256_bytes("".join(sorted(members)).encode())[:16]
        if found != group:
            raise IntegrityError(f"{path}: group {group} is not the hash of its ids, {found}")
    return [list(members.values()) for members in groups.values()]
