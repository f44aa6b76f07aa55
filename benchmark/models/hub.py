"""Downloads from a model hub, and what its refusals mean."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import MissingPartError

# The only files taken from a hub: weights as safetensors, configuration, tokenizer. Never code.
HUB_FILES = ("*.safetensors", "*.json", "*.jinja", "*.txt", "tokenizer.model")
WAITS = (1.0, 4.0, 16.0)  # Seconds before a hub that fails is asked again
BUSY = 429  # Status of a hub that is asked too often


def download(
    hub_id: str,
    revision: str | None,
    *,
    instead: str,
    patterns: Sequence[str] = HUB_FILES,
    **kind: Any,
) -> Path:
    """Download a model, or with `repo_type` a dataset, to a folder that is named by the commit.

    Errors of machines without a hub say what to use `instead`.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError

    for wait in (*WAITS, None):
        try:
            return Path(
                snapshot_download(hub_id, revision=revision, allow_patterns=list(patterns), **kind)
            ).absolute()
        except (OSError, EntryNotFoundError, HfHubHTTPError, HFValidationError) as error:
            status = _status(error)
            if wait is None or not (status == BUSY or status >= 500):
                said = _meaning(hub_id, revision, error, status)
                said = said or f", which needs a model hub ({_first_line(error)}); {instead}"
                raise MissingPartError(f"cannot get {hub_id!r}{said}") from error
            time.sleep(wait)
    raise AssertionError("the last try returns or raises")


def _status(error: BaseException | None) -> int:
    """Return the status that the hub answered with, 0 if it did not answer."""
    while error is not None:
        if (status := getattr(getattr(error, "response", None), "status_code", None)) is not None:
            return int(status)
        error = error.__cause__
    return 0


def _meaning(hub_id: str, revision: str | None, error: Exception, status: int) -> str:
    """Say what is wrong and what to do; of private models a hub tells strangers nothing."""
    from huggingface_hub.errors import (
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if isinstance(error, GatedRepoError):
        return (
            f": it is gated; accept its terms at https://huggingface.co/{hub_id} and give your "
            "token (HF_TOKEN, or `hf auth login`)"
        )
    if isinstance(error, RevisionNotFoundError):
        return f": it has no revision {revision!r}; give a commit, branch or tag of it"
    if isinstance(error, RepositoryNotFoundError) and status == 401:
        return (
            ": the hub shows it to nobody unknown, so it is private or misspelt; check the name, "
            "and if it is private give your token (HF_TOKEN, or `hf auth login`)"
        )
    if isinstance(error, RepositoryNotFoundError) and status == 404:
        return ": the hub has no such model, or none that you may see; check the spelling"
    if status in (401, 403):
        return f": the hub refuses your token ({status}); renew HF_TOKEN, or let it read this model"
    if status == BUSY or status >= 500:
        return f": the hub failed ({status}) {len(WAITS) + 1} times; try again later"
    return ""


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
