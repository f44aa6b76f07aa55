"""The user's cache folder: where it is, who may write to it, and how progress is told.

Owns the place and its locks, nothing that lies in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from . import files

CACHE_VARIABLE = "INTROSPECT_BENCH_CACHE"
"""Environment variable that names the cache folder."""

OnProgress = Callable[[str, int, int | None], None]
"""Told `(what is done now, bytes done, bytes in all or None)`; 0 bytes for steps without a size."""


OnAnswers = Callable[[str, int, int], None]
"""Told `(judge, answers judged, answers in all)`."""


def silent(_what: str, _done: int, _total: int | None) -> None:
    """Ignore progress."""


def cache_dir() -> Path:
    """Return the cache folder: `INTROSPECT_BENCH_CACHE`, or the platform's place for caches."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("introspect-bench", appauthor=False))


@contextmanager
def locked(path: Path, on_progress: OnProgress = silent) -> Iterator[None]:
    """Hold a lock named after a path; say so while another process has it.

    Raises:
        MissingPartError: the lock file cannot be made.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path.with_name(path.name + ".lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            on_progress("waiting for another process", 0, None)
            lock.acquire()
    except OSError as error:
        raise files.write_error(path, error) from error
    try:
        yield
    finally:
        lock.release()
