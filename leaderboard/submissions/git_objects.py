"""What git knows of two commits, without checking either out.

Owns how git is called: no settings, no hooks, no fetching, and never more output than is expected.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ...benchmark.errors import IntegrityError, MissingPartError, UsageError

MAX_LISTING_BYTES = 1 << 20
"""Longest list of changed files that is read."""

_COMMIT = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_RAW = re.compile(rb":([0-7]{6}) ([0-7]{6}) ([0-9a-f]{40,64}) ([0-9a-f]{40,64}) ([A-Z])[0-9]*")
_GIT_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One file that a pull request changes."""

    path: bytes
    """Its path; any bytes but zero."""
    status: str
    """`A` for a new file; git's letter for anything else."""
    mode: str
    """Its mode afterwards, such as `100644`."""
    blob: str
    """Hash of its content afterwards."""

    @property
    def shown(self) -> str:
        """The path in ASCII, for people."""
        return self.path.decode("latin-1").encode("unicode_escape").decode("ascii")[:300]


def changed_files(repository: Path, *, base: str, head: str) -> list[Change]:
    """List what differs between two commits: modes, hashes and paths, byte for byte.

    Raises:
        UsageError: a commit is not given as all its digits.
        MissingPartError: git is not there or fails.
        IntegrityError: the list is longer than any entry's, or not as git writes it.
    """
    for commit in (base, head):
        if not _COMMIT.fullmatch(commit):
            raise UsageError(f"{commit[:80]!r} is not a commit; give all its digits")
    listed = git(
        repository, "diff-tree", "-r", "-z", "--raw", "--no-renames", "--full-index", base, head
    )
    changes = []
    parts = iter(listed.split(b"\0"))
    for raw in parts:
        if not raw:
            continue
        match = _RAW.fullmatch(raw)
        if match is None:
            raise IntegrityError("git lists the changes in a way that is not understood")
        _, mode, _, blob, status = (group.decode() for group in match.groups())
        changes.append(Change(path=next(parts), status=status, mode=mode, blob=blob))
    return changes


def git(repository: Path, *words: str, given: bytes = b"", limit: int | None = None) -> bytes:
    """Return what git prints; nothing of the user's settings or hooks counts.

    Args:
        repository: the repository.
        words: the command.
        given: its standard input.
        limit: most bytes that are read; `MAX_LISTING_BYTES` if None.

    Raises:
        MissingPartError: git is not there, fails, or does not end.
        IntegrityError: it says more than `limit`.
    """
    settings = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    settings |= {"GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_REPLACE_OBJECTS": "1"}
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    command = ["git", "--literal-pathspecs", "-C", str(repository), *words]
    try:
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=kept | settings,
        ) as running:
            assert running.stdin is not None
            assert running.stdout is not None
            running.stdin.write(given)
            running.stdin.close()
            most = MAX_LISTING_BYTES if limit is None else limit
            said = running.stdout.read(most + 1)
            if len(said) > most:
                running.kill()
                raise IntegrityError(f"`git {words[0]}` says more than {most} bytes")
            running.stdout.close()
            code = running.wait(_GIT_SECONDS)
    except (FileNotFoundError, BrokenPipeError, subprocess.TimeoutExpired) as error:
        raise MissingPartError(f"git is missing or does not end: {error}") from error
    if code != 0:
        raise MissingPartError(f"`git {words[0]}` failed; are both commits fetched?")
    return said
