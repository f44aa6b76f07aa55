"""A suite's manifest: what it must hold, and the hash that ties it to every byte of the suite."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import files
from ..errors import IntegrityError
from ..records import SPLITS

SCHEMA = "introspect-bench/suite/1"
MANIFEST = "manifest.json"  # The only file of a suite that it does not list
# `doctor` of an imported suite, whose truth was measured by others
FOREIGN = {"ground-truth": "foreign"}

_FILE = re.compile(r"[a-z0-9_-]+(\.[a-z0-9]+)*(/[a-z0-9_-]+(\.[a-z0-9]+)*)*")
_ID = re.compile("[0-9a-f]{16}")
_MAX_FILE_BYTES = 1 << 31
_FIELDS: Mapping[str, type] = {
    "suite": str,
    "task": str,
    "version": str,
    "frozen": bool,
    "target": dict,
    "splits": dict,
    "mini": list,
    "files": dict,
    "data_sha256": str,
    "prompt_sha256": str,
    "doctor": dict,
}
_OPTIONAL: Mapping[str, type] = {
    "statistics": dict,
    "stability": dict,
    "builder": dict,
    "seed": int,
    "canary": str,
    "truth": str,
    "judges": dict,
    "nulls": dict,
    "bars_missed": list,
    "held_out": dict,
    "imported": dict,
}
_TARGET_OPTIONAL: Mapping[str, type] = {
    "source": str,
    "location": str,
    "revision": str,
    "n_layers": int,
    "d_model": int,
    "weights_sha256": dict,
}


def read_manifest(path: Path, *, sha256: str | None = None) -> dict[str, Any]:
    """Read a manifest of the given sha256, if one is given, and check it against itself."""
    manifest = files.read_json(path, sha256=sha256)
    schema = manifest.get("schema")
    if schema != SCHEMA:
        raise IntegrityError(f"{path}: schema is {schema!r}, this package reads {SCHEMA!r}")
    _check(path, "", manifest, _FIELDS)
    _check(path, "", manifest, _OPTIONAL, optional=True)
    _check(path, "target.", manifest["target"], {"name": str})
    known = {name: value for name, value in manifest["target"].items() if value is not None}
    _check(path, "target.", known, _TARGET_OPTIONAL, optional=True)
    splits = manifest["splits"]
    imported = "imported" in manifest
    whole = ["train", "validation"] if "held_out" in manifest else SPLITS
    whole = [split for split in SPLITS if split in splits] if imported else whole
    # A fresh suite holds test alone.
    if not whole or (len(splits) < 2 and not imported):
        whole = ["test"]
    _check(path, "splits.", splits, dict.fromkeys([*whole, *splits], dict))
    for split, counts in splits.items():
        _check(path, f"splits.{split}.", counts, {"queries": int, "groups": int})
    _check_mini(path, manifest["mini"], whole="validation" in splits)
    if imported and manifest["frozen"]:
        raise IntegrityError(f"{path}: field frozen: an imported suite is none that we froze")
    if not imported or manifest["doctor"] != FOREIGN:
        _check_doctor(path, manifest["doctor"])
    _check_statistics(path, manifest.get("statistics", {}))
    # Names become paths: none may be absolute or leave the suite's folder.
    for name, entry in manifest["files"].items():
        if not _FILE.fullmatch(name) or not _is_file_entry(entry):
            raise IntegrityError(f"{path}: bad entry in files: {name[:80]!r}")
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
        and 0 <= entry["bytes"] <= _MAX_FILE_BYTES
    )


def _check(
    path: Path,
    where: str,
    holder: Mapping[str, Any],
    fields: Mapping[str, type],
    *,
    optional: bool = False,
) -> None:
    """Refuse fields of another type; a bool is no int."""
    for name, kind in fields.items():
        if optional and name not in holder:
            continue
        if type(holder.get(name)) is not kind:
            raise IntegrityError(f"{path}: field {where}{name} is missing or not a {kind.__name__}")


def _check_mini(path: Path, mini: list[Any], *, whole: bool) -> None:
    if not all(isinstance(key, str) and _ID.fullmatch(key) for key in mini):
        raise IntegrityError(f"{path}: field mini is not a list of query ids")
    if bool(mini) != whole or len(set(mini)) != len(mini):
        raise IntegrityError(f"{path}: field mini is empty or repeats an id")


def _check_doctor(path: Path, doctor: Mapping[str, Any]) -> None:
    """Refuse ground truth that was measured with interventions that were not seen to work."""
    failed = [f"{name} is {verdict!r}" for name, verdict in doctor.items() if verdict != "pass"]
    if failed or not doctor:
        found = f"{failed[0]}, not 'pass'" if failed else "empty"
        raise IntegrityError(
            f"{path}: field doctor: {found}; its ground truth was measured without the self-tests "
            f"of interventions, make the suite again"
        )


def _check_statistics(path: Path, statistics: Mapping[str, Any]) -> None:
    """Check the parts that results repeat."""
    _check(path, "statistics.", statistics, dict.fromkeys(statistics, dict))
    for split, found in statistics.items():
        where = f"{path}: field statistics.{split}"
        ceiling = found.get("input_only_ceiling", {})
        if not isinstance(ceiling, dict) or not all(map(_is_share, ceiling.values())):
            raise IntegrityError(f"{where}.input_only_ceiling does not hold shares from 0 to 1")
        if not _is_share(found.get("prior_exact_match", 0)):
            raise IntegrityError(f"{where}.prior_exact_match is not a share from 0 to 1")


def _is_share(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value <= 1  # type: ignore[operator]
