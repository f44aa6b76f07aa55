"""The user's cache folder, its locks, and the callbacks that progress is reported through."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from . import files
from .errors import UsageError

CACHE_VARIABLE = "INTROSPECT_BENCH_CACHE"

OnProgress = Callable[[str, int, int | None], None]  # What is done now, bytes done and in all


OnAnswers = Callable[[str, int, int], None]  # Judge, answers judged and in all


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
def locked(
    path: Path,
    on_progress: OnProgress = silent,
    *,
    name: str | None = None,
    busy: str | None = None,
) -> Iterator[None]:
    """Hold a lock file beside a path, by default the path's name with `.lock`.

    While another process has it, wait and report that; with `busy`, a UsageError that says so.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path.with_name(name or f"{path.name}.lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            if busy is not None:
                raise UsageError(busy) from error
            on_progress("waiting for another process", 0, None)
            lock.acquire()
    except OSError as error:
        raise files.write_error(path, error) from error
    try:
        yield
    finally:
        lock.release()
