"""A suite's manifest: what it must hold, and the hash that ties it to every byte of the suite.

Owns the manifest's schema. It reads no other file of the suite.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from introspect_bench.benchmark import files
from introspect_bench.benchmark.errors import IntegrityError
from introspect_bench.benchmark.records import SPLITS

SCHEMA = "introspect-bench/suite/1"
"""Value of `schema` in the manifests this module reads."""
MANIFEST = "manifest.json"
"""Name of the manifest in a suite's folder; the only file it does not list."""

_FILE = re.compile(r"[a-z0-9_-]+(\.[a-z0-9]+)*(/[a-z0-9_-]+(\.[a-z0-9]+)*)*")
_FIELDS: Mapping[str, type] = {
    "suite": str,
    "task": str,
    "version": str,
    "target": dict,
    "splits": dict,
    "mini": list,
    "files": dict,
    "data_sha256": str,
    "prompt_sha256": str,
}


def read_manifest(path: Path) -> dict[str, Any]:
    """Read a manifest and check it against itself.

    Raises:
        UsageError: there is no such file.
        IntegrityError: it has another schema, lacks a field, or contradicts its own hash.
    """
    manifest = files.read_json(path)
    schema = manifest.get("schema")
    if schema != SCHEMA:
        raise IntegrityError(f"{path}: schema is {schema!r}, this package reads {SCHEMA!r}")
    for name, kind in _FIELDS.items():
        if not isinstance(manifest.get(name), kind):
            raise IntegrityError(f"{path}: field {name} is missing or not a {kind.__name__}")
    # Names become paths: none may be absolute or leave the suite's folder.
    for name, entry in manifest["files"].items():
        if not _FILE.fullmatch(name) or not _is_file_entry(entry):
            raise IntegrityError(f"{path}: bad entry in files: {name[:80]!r}")
    for split in SPLITS:
        if not isinstance(manifest["splits"].get(split), dict):
            raise IntegrityError(f"{path}: field splits.{split} is missing or not a dict")
    if not all(isinstance(key, str) for key in manifest["mini"]):
        raise IntegrityError(f"{path}: field mini is not a list of query ids")
    found = data_hash(manifest["files"])
    if found != manifest["data_sha256"]:
        raise IntegrityError(
            f"{path}: data_sha256 is {manifest['data_sha256']}, its files hash to {found}"
        )
    return manifest


def data_hash(entries: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the hash over a manifest's `files`: sha256 of their canonical JSON."""
    return files.sha256_bytes(files.canonical_json(entries).encode())


def _is_file_entry(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("sha256"), str)
        and type(entry.get("bytes")) is int
        and entry["bytes"] >= 0
    )
