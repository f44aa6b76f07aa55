"""Where a file is written before it is renamed, and what killed writers left there."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import time
from pathlib import Path

_STARTED = time.time()


def beside(path: Path) -> Path:
    """Return where this process writes what is then renamed to `path`; sweep what others left.

    Swept is what was there before this process and belongs to one that has ended.
    """
    for left in path.absolute().parent.glob(f".{glob.escape(path.name)}.*.partial"):
        with contextlib.suppress(OSError):
            if left.lstat().st_mtime < _STARTED and _has_ended(left.suffixes[-2][1:]):
                shutil.rmtree(left) if left.is_dir() else left.unlink()
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def _has_ended(pid: str) -> bool:
    if os.name == "nt" or not pid.isdecimal():  # Windows has no signal that only asks
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        pass
    return False
