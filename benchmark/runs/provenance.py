"""Where a run comes from, as an allow-list: no host, user, path, variable or address."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from .._version import __version__

PACKAGE = "introspect-bench"
LIBRARIES = ("torch", "transformers", "nnsight", "peft", "numpy", "safetensors")

_GIT_SECONDS = 10


def environment(*, device: str | None = None) -> dict[str, Any]:
    """Return Python, system and library versions; None for a library that is not installed."""
    found = {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "device": device,
    }
    return found | {name: _version(name) for name in LIBRARIES}


def package(directory: Path | None = None) -> dict[str, Any]:
    """Describe this package: name, version, git commit and whether tracked files differ from it.

    `commit` and `dirty` are None unless git tracks the package's own files: an installation inside
    somebody's project must not report that project's commit.
    """
    folder = directory or Path(__file__).resolve().parent
    commit = None
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is not None:
        commit = _git(folder, "rev-parse", "--verify", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no") if commit else None
    return {
        "name": PACKAGE,
        "version": __version__,
        "commit": commit,
        "dirty": None if changes is None else bool(changes),
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _git(folder: Path, *arguments: str) -> str | None:
    """The answer of git without its last line feed, or None if there is no answer."""
    # Inside a git hook these variables point at another repository.
    variables = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=_GIT_SECONDS,
            env=variables,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
