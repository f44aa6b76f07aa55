"""A folder on a disk that can only be read, as Python meets it; no mode of files stops root."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_PLACES: list[str] = []
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_EVENTS = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.link", "os.symlink")


def _watch(event: str, args: tuple[Any, ...]) -> None:
    if not _PLACES or (event != "open" and event not in _EVENTS) or isinstance(args[0], int):
        return
    path = str(Path(os.fsdecode(args[0])).absolute())
    if event == "open" and not args[2] & _WRITES:
        return
    if event == "os.mkdir" and Path(path).is_dir():
        return  # the system says that it exists
    if any(path == place or path.startswith(f"{place}{os.sep}") for place in _PLACES):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)


@contextmanager
def read_only(place: Path) -> Iterator[None]:
    """Refuse to write below a folder."""
    if not getattr(sys, "read_only_hook", False):  # a hook cannot be taken away again
        sys.addaudithook(_watch)
        sys.read_only_hook = True  # type: ignore[attr-defined]
    _PLACES.append(str(place.absolute()))
    try:
        yield
    finally:
        _PLACES.pop()
