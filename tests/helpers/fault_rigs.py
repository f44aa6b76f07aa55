"""What is done to a process before a command begins in it: limits, kills, clocks."""

from __future__ import annotations

import ctypes
import datetime
import errno
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WRITES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree"}
"""Events of Python's audit, besides opening to write, before which a process may be stopped."""
YEAR = 366 * 86_400.0


def enter(folder: Path, writes: int) -> None:
    os.chdir(folder)
    os.environ["INTROSPECT_BENCH_CACHE"] = str(folder / "cache")
    os.environ["TMPDIR"] = str(folder / "tmp")
    tempfile.tempdir = None
    os.dup2(writes, 1)
    os.dup2(writes, 2)
    os.close(writes)
    sys.stdout, sys.stderr = (os.fdopen(n, "w", closefd=False) for n in (1, 2))


def _writes(event: str, given: tuple[Any, ...]) -> bool:
    if event == "open":
        path, _, flags = given
        writing = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        return bool(writing) and isinstance(path, (str, bytes)) and "/dev/" not in str(path)
    return event in WRITES


def at_write(number: int, then: Callable[[str], object]) -> None:
    """Do something before the file operation of this number, from 0."""
    seen = [0]

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if _writes(event, given):
            seen[0] += 1
            if seen[0] == number + 1:
                then(event)

    sys.addaudithook(hook)


def count(folder: Path) -> None:
    """Note how many file operations there were, and which modules were imported."""
    seen, real = [0], os._exit

    def hook(event: str, given: tuple[Any, ...]) -> None:
        seen[0] += _writes(event, given)

    def leave(code: int) -> None:
        (folder / "writes").write_text(str(seen[0]))
        (folder / "modules").write_text("\n".join(sorted(sys.modules)))
        real(code)

    sys.addaudithook(hook)
    os._exit = leave  # type: ignore[assignment]


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def no_space(_event: str) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def without_capabilities() -> None:
    """Take every capability from this process, so that modes of files hold for it."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)())


def year_ago() -> None:
    real, now = datetime.datetime, time.time

    class Earlier(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return real.now(tz) - datetime.timedelta(seconds=YEAR)

    time.time = lambda: now() - YEAR
    for module in list(sys.modules.values()):
        if getattr(module, "datetime", None) is real and "introspect" in module.__name__:
            module.datetime = Earlier  # type: ignore[attr-defined]
