"""Strict JSON and JSONL, hashes and atomic writes: the only module that turns bytes into objects.

Nothing that is read is repaired. A path that can't be opened is a `UsageError`, wrong contents are
an `IntegrityError` (`file:line: what is wrong`), a failed write is a `MissingPartError` and leaves
nothing behind.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from .errors import IntegrityError, IntrospectBenchError, MissingPartError, UsageError, memory_ended
from .leftovers import beside

if TYPE_CHECKING:
    import numpy.typing as npt

MAX_LINE_BYTES = 1 << 20  # Longest JSONL line, unless the caller sets another limit
MAX_DEPTH = 32  # Deepest nesting of objects and arrays accepted
MAX_INTEGER_CHARS = 19  # Longest integer, sign included: everything below 10**18 in size

_SURROGATE = re.compile("[\ud800-\udfff]")
# A string, also one without end, which costs no second look at it, or a bracket. Possessive
# quantifiers: without them a long string costs memory for every character.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)


def compact_json(value: object, *, sort_keys: bool = False) -> str:
    """Write a value as one line of JSON without spaces; no NaN or infinity.

    Unpaired surrogates, which UTF-8 can't hold, are written as escapes and survive a round trip.
    """
    text = json.dumps(
        value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=sort_keys
    )
    return _SURROGATE.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def canonical_json(value: object) -> str:
    """Write a value as JSON with sorted keys and no spaces: the only form that is hashed."""
    return compact_json(value, sort_keys=True)


def sha256_bytes(data: bytes) -> str:
    """Return the sha256 of some bytes as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the sha256 of a regular file, reading it in pieces."""
    with open_regular(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading bytes; no directory, pipe or device."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UsageError(f"cannot read {path}: not a regular file; give the path of a file")
        return path.open("rb")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; check the path") from error
    except ValueError as error:  # a path with a NUL
        raise UsageError(f"cannot read {str(path)!a}: {error}; check the path") from error


def parse_object(data: bytes, where: str) -> dict[str, Any]:
    """Parse one JSON object; `where` names it in errors, such as `file:line`.

    Refused besides what is not UTF-8 or JSON: nesting below `MAX_DEPTH`, duplicate keys, NaN and
    infinities, integers of more than `MAX_INTEGER_CHARS` characters.
    """
    if _nesting(data) > MAX_DEPTH:
        raise IntegrityError(f"{where}: nested deeper than {MAX_DEPTH} levels")
    try:
        value = _DECODER.decode(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise IntegrityError(f"{where}: not UTF-8 at byte {error.start}") from error
    except ValueError as error:
        raise IntegrityError(f"{where}: not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise IntegrityError(f"{where}: expected a JSON object, found {type(value).__name__}")
    return value


@contextlib.contextmanager
def reading(
    path: Path | str, what: str, advice: str = "get or make the file again"
) -> Iterator[None]:
    """Turn whatever is raised while a user's file is used as `what` into an error that names it."""
    try:
        yield
    except (IntrospectBenchError, MemoryError):
        raise
    except OSError as error:
        said = error.strerror or " ".join(str(error).split())[:200]
        raise UsageError(f"cannot read {path}: {said}; check the path") from error
    except BaseException as error:
        if not is_fault(error):
            raise
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise IntegrityError(f"{path}: not {what} ({said}); {advice}") from error


def is_fault(error: BaseException) -> bool:
    """Whether a library that raised this while it read a file can't read it.

    Tokenizers and safetensors are written in Rust, whose panics are no `Exception`.
    """
    panic = type(error).__name__ == "PanicException"
    return (panic or isinstance(error, Exception)) and not memory_ended(error)


def iter_lines(
    stream: BinaryIO, name: str, *, max_line_bytes: int = MAX_LINE_BYTES
) -> Iterator[tuple[int, bytes]]:
    """Yield `(line number from 1, bytes with their line feed)`, holding one line at a time.

    Only a line feed ends a line, so text may hold any other separator Unicode knows.
    """
    number = 0
    while line := stream.readline(max_line_bytes + 1):
        number += 1
        if len(line) > max_line_bytes:
            raise IntegrityError(f"{name}:{number}: line longer than {max_line_bytes} bytes")
        yield number, line


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield `(line number from 1, object)` for every line of a JSONL file, one at a time."""
    with open_regular(path) as stream:
        for number, line in iter_lines(stream, str(path)):
            yield number, parse_object(line, f"{path}:{number}")


def read_json(
    path: Path, *, max_bytes: int = 16 << 20, sha256: str | None = None
) -> dict[str, Any]:
    """Read a file that holds one JSON object, at most `max_bytes`, of the given sha256."""
    with open_regular(path) as stream:
        data = stream.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise IntegrityError(f"{path}: larger than {max_bytes} bytes")
    if sha256 is not None and (found := sha256_bytes(data)) != sha256:
        raise IntegrityError(f"{path}: sha256 is {found}, expected {sha256}; install it again")
    return parse_object(data, str(path))


def write_json_atomic(path: Path, value: Mapping[str, Any]) -> None:
    """Write one object as canonical JSON: the file is the old one or the new one, never half."""
    _write_atomic(path, [canonical_json(value).encode() + b"\n"])


def write_jsonl_atomic(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write objects as canonical JSON lines, atomically."""
    _write_atomic(path, (canonical_json(row).encode() + b"\n" for row in rows))


def write_bytes_atomic(path: Path, data: bytes) -> None:
    """Write bytes atomically."""
    _write_atomic(path, [data])


def write_derived(path: Path, data: bytes) -> None:
    """Write what can be computed again, atomically, behind a line with its hash."""
    _write_atomic(path, [sha256_bytes(data).encode() + b"\n", data])


def read_derived(path: Path, *, max_bytes: int) -> bytes | None:
    """Return what `write_derived` wrote; None, to have it computed again, if anything is wrong."""
    try:
        if not path.is_file() or path.stat().st_size > max_bytes:
            return None
        head, _, data = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    return data if head == sha256_bytes(data).encode() else None


def parse_safetensors(
    data: bytes, where: Path | str, advice: str = "get it again"
) -> dict[str, npt.NDArray[Any]]:
    """Read named arrays; `where` names the file in errors."""
    from safetensors.numpy import load

    with reading(where, "a safetensors file", advice):
        found: dict[str, npt.NDArray[Any]] = load(data)
    return found


def write_safetensors_atomic(path: Path, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write named arrays atomically, in the bytes that safetensors itself would write."""
    import numpy as np
    from safetensors.numpy import save

    # safetensors writes the memory of a transposed array as if it were in order
    ordered = {name: np.asarray(value, order="C") for name, value in tensors.items()}
    write_bytes_atomic(path, save(ordered))


def write_error(path: Path, error: OSError) -> MissingPartError:
    """Turn a failed write into the error a user sees."""
    advice = f"{error.strerror}; check the path and its permissions"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        advice = "no disk space left; free some and run the same command again"
    return MissingPartError(f"cannot write {path}: {advice}")


@contextlib.contextmanager
def replacing(path: Path, partial: Path) -> Iterator[Path]:
    """Yield `partial`, a file or folder to make: it is renamed to `path`, or removed if that fails.

    A failed write is a MissingPartError; the rename survives a power cut.
    """
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
        if hasattr(os, "O_DIRECTORY"):  # Windows opens no folders
            descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    except MissingPartError:
        raise
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        with contextlib.suppress(OSError):  # after the rename there is nothing to remove
            shutil.rmtree(partial) if partial.is_dir() else partial.unlink()


def _write_atomic(path: Path, chunks: Iterable[bytes]) -> None:
    with replacing(path, beside(path)) as partial, partial.open("wb") as stream:
        for chunk in chunks:
            stream.write(chunk)
        stream.flush()
        os.fsync(stream.fileno())


def _nesting(data: bytes) -> int:
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return 0
    level = deepest = 0
    for match in _TOKEN.finditer(data):
        level += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(match.group(), 0)
        deepest = max(deepest, level)
    return deepest


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"duplicate key {twice[:80]!r}")
    return found


def _finite_float(text: str) -> float:
    value = float(text)
    if abs(value) == float("inf"):
        raise ValueError(f"number {text[:40]} is not finite")
    return value


def _small_integer(text: str) -> int:
    if len(text) > MAX_INTEGER_CHARS:
        raise ValueError(f"integer of {len(text)} characters")
    return int(text)


def _refuse_constant(text: str) -> float:
    raise ValueError(f"number {text} is not allowed")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique_keys,
    parse_float=_finite_float,
    parse_int=_small_integer,
    parse_constant=_refuse_constant,
)
