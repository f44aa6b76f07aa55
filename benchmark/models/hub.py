"""Downloads from a hub and uploads to it, and what its refusals mean."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ..errors import MissingPartError, UsageError

Kind = Literal["model", "dataset"]  # Of a repository

HUB_ID = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}")
# The only files of a model that are taken: safetensors, configuration, tokenizer. Never code.
HUB_FILES = ("*.safetensors", "*.json", "*.jinja", "*.txt", "tokenizer.model")
WAITS = (1.0, 4.0, 16.0)  # Seconds before a hub that fails is asked again
BUSY = 429  # Status of a hub that is asked too often


def download(
    hub_id: str,
    revision: str | None,
    *,
    instead: str,
    kind: Kind = "model",
    patterns: Sequence[str] = HUB_FILES,
    folder: Path | None = None,
) -> Path:
    """Download files of a repository, into `folder` or the hub's own cache.

    Errors of machines without a hub say what to use `instead`.
    """
    from huggingface_hub import snapshot_download

    for wait in (*WAITS, None):
        try:
            return Path(
                snapshot_download(
                    hub_id,
                    repo_type=kind,
                    revision=revision,
                    allow_patterns=list(patterns),
                    local_dir=folder,
                )
            ).absolute()
        except _failures() as error:
            status = _status(error)
            if wait is None or not (status == BUSY or status >= 500):
                said = _meaning(hub_id, revision, error, kind)
                said = said or f", which needs a model hub ({_first_line(error)}); {instead}"
                raise MissingPartError(f"cannot get {hub_id!r}{said}") from error
            time.sleep(wait)
    raise AssertionError("the last try returns or raises")


def upload(hub_id: str, folder: Path) -> str:
    """Upload a folder as a dataset and return the commit; a repository is made if there is none.

    One that is made is private; its owner opens it.
    """
    from huggingface_hub import HfApi

    if not (match := HUB_ID.fullmatch(hub_id)) or match["revision"]:
        raise UsageError(f"cannot upload to {hub_id!r}: expected owner/name")
    api = HfApi()
    try:
        api.create_repo(hub_id, repo_type="dataset", private=True, exist_ok=True)
        done = api.upload_folder(repo_id=hub_id, folder_path=folder, repo_type="dataset")
    except _failures() as error:
        said = _meaning(hub_id, None, error, "dataset", to="write") or f": {_first_line(error)}"
        raise MissingPartError(
            f"cannot upload {folder} to {hub_id!r}{said}; the folder is whole and stays"
        ) from error
    return str(done.oid)


def _failures() -> tuple[type[Exception], ...]:
    """Return what the hub's library raises, errors of its HTTP library among them."""
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError

    # which library it is depends on the version: httpx, httpx2
    return OSError, EntryNotFoundError, HFValidationError, *HfHubHTTPError.__bases__


def _status(error: BaseException | None) -> int:
    """Return the status that the hub answered with, 0 if it did not answer."""
    while error is not None:
        if (status := getattr(getattr(error, "response", None), "status_code", None)) is not None:
            return int(status)
        error = error.__cause__
    return 0


def _meaning(
    hub_id: str, revision: str | None, error: Exception, kind: Kind, to: str = "read"
) -> str:
    """Say what is wrong and what to do; of private repositories a hub tells strangers nothing."""
    from huggingface_hub.errors import (
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    status, folder = _status(error), "" if kind == "model" else f"{kind}s/"
    if isinstance(error, GatedRepoError):
        return (
            f": it is gated; accept its terms at https://huggingface.co/{folder}{hub_id} and give "
            "your token (HF_TOKEN, or `hf auth login`)"
        )
    if isinstance(error, RevisionNotFoundError):
        return f": it has no revision {revision!r}; give a commit, branch or tag of it"
    if isinstance(error, RepositoryNotFoundError) and status == 401:
        return (
            ": the hub shows it to nobody unknown, so it is private or misspelt; check the name, "
            "and if it is private give your token (HF_TOKEN, or `hf auth login`)"
        )
    if isinstance(error, RepositoryNotFoundError) and status == 404:
        return f": the hub has no such {kind}, or none that you may see; check the spelling"
    if status in (401, 403):
        return (
            f": the hub refuses your token ({status}); renew HF_TOKEN, or let it {to} this {kind}"
        )
    if to == "read" and (status == BUSY or status >= 500):
        return f": the hub failed ({status}) {len(WAITS) + 1} times; try again later"
    return ""


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
