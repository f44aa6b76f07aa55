"""The user's cache folder, locks, how progress is reported, and journals of finished batches.

A batch of a journal is kept under a hash of its inputs, which does not cover the code, beside a
hash of its line: what is not as it was written is computed again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from .errors import UsageError
from .files import canonical_json, sha256_bytes, write_error
from .team import team

Job = TypeVar("Job")

CACHE_VARIABLE = "INTROSPECT_BENCH_CACHE"


class Progress(Protocol):
    """What every long function reports to."""

    def __call__(
        self, what: str, done: int = 0, total: int | None = None, *, unit: str = "", note: str = ""
    ) -> None:
        """Take a step's name, how much is done, of how much, in `unit` (`bytes`, or a count)."""


def silent(
    what: str, done: int = 0, total: int | None = None, *, unit: str = "", note: str = ""
) -> None:
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
    progress: Progress = silent,
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
            progress("waiting for another process")
            lock.acquire()
    except OSError as error:
        raise write_error(path, error) from error
    try:
        yield
    finally:
        lock.release()


def sole_writer(folder: Path) -> AbstractContextManager[None]:
    """Hold the lock of a folder of journals; a lock file is kept beside it."""
    return locked(
        folder,
        busy=f"another process is building this suite in {folder}; wait for it to end, then run "
        "the same command again",
    )


class Journal:
    """Finished batches of one stage of a build."""

    def __init__(self, path: Path) -> None:
        """Open or create a journal; a torn last line is dropped, a changed one passed over."""
        self.path = path
        self.batches: dict[str, list[Any]] = {}
        self.shared = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            whole = _whole_lines(path) if path.exists() else b""
        except OSError as error:
            raise write_error(path, error) from error
        for line in whole.splitlines():
            data, _, digest = line[:-1].rpartition(b',"sha256":')
            if digest == b'"%s"' % sha256_bytes(data).encode():
                row = json.loads(data + b"}")
                self.batches[row["key"]] = row["rows"]

    def run(self, asked: Any, compute: Callable[[], Sequence[Any]]) -> list[Any]:
        """Return the rows of the batch that `asked` determines: from the file, else computed."""
        key = sha256_bytes(canonical_json(asked).encode())[:32]
        if key not in self.batches:
            rows = json.loads(canonical_json(list(compute())))
            data = canonical_json({"key": key, "rows": rows}).encode()[:-1]
            line = b'%s,"sha256":"%s"}\n' % (data, sha256_bytes(data).encode())
            try:
                with self.path.open("ab") as file:
                    file.write(line)
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                raise write_error(self.path, error) from error
            self.batches[key] = rows
        return self.batches[key]

    def share(self) -> None:
        """Let all of several processes know what the first one's file holds."""
        if team().size > 1 and not self.shared:
            self.batches |= team().share(lambda: self.batches)
        self.shared = True

    def deal(
        self,
        jobs: Sequence[Job],
        asked: Callable[[Job], Any],
        compute: Callable[[Job], Sequence[Any]],
    ) -> Iterator[tuple[Job, list[Any]]]:
        """Yield each job with its rows; several processes compute a part each and keep all."""
        self.share()

        def one(job: Job) -> list[Any]:
            return self.run(asked(job), lambda: compute(job))

        for job, rows in team().deal(jobs, one):
            yield job, self.run(asked(job), partial(list, rows))


def _whole_lines(path: Path) -> bytes:
    """Return the lines that end in a line feed, and cut what is torn behind them off the file."""
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    return whole
