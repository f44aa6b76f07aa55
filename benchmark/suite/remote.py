"""Suites that lie in a dataset repository on a hub: fetched once, every byte checked."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..cache import cache_dir, locked
from ..errors import IntegrityError, UsageError
from ..files import write_error
from ..models.hub import COMMIT, HUB_ID, download
from .manifest import MANIFEST
from .suite import open_suite

# The frozen files; Parquet is for other readers
_FILES = (f"*/{MANIFEST}", "*.jsonl", "*.safetensors")


def remote_suites(name: str) -> Path | None:
    """Return the folder of suites that `owner/name@commit` names; None if a name is no such thing.

    It is in the cache once all its files have the hashes of its manifests; then no hub is asked.
    """
    match = HUB_ID.fullmatch(name)
    if match is None or match["revision"] is None:
        return None
    hub_id, commit = match["id"], match["revision"]
    if not COMMIT.fullmatch(commit):
        raise UsageError(
            f"suite {name!r} is not pinned: give the commit, as in {hub_id}@<40 hex digits>"
        )
    folder = cache_dir() / "suites" / hub_id.replace("/", "--") / commit
    if not folder.is_dir():
        with locked(folder):
            if not folder.is_dir():  # the process that held the lock may have fetched it
                _fetch(name, hub_id, commit, folder)
    return folder


def _fetch(name: str, hub_id: str, commit: str, folder: Path) -> None:
    """Download beside the place, where a cut download goes on, check, and move it there."""
    partial = folder.with_name(f".{commit}.partial")
    instead = "without one use a suite in a folder, or one that ships"
    download(
        hub_id, commit, instead=instead, kind="dataset", patterns=_FILES, folder=partial.absolute()
    )
    try:
        manifests = sorted(partial.glob(f"*/*/{MANIFEST}"))
        if not manifests:
            raise UsageError(f"{name} holds no suite: expected TASK/VERSION/{MANIFEST} in it")
        for suite in map(open_suite, (path.parent for path in manifests)):
            for file in suite.manifest["files"]:
                suite.read(file)
        partial.rename(folder)
    except (IntegrityError, UsageError):
        shutil.rmtree(partial, ignore_errors=True)
        raise
    except OSError as error:
        raise write_error(folder, error) from error
