"""Appends to a run file so that a kill, a full disk or another process costs no finished row."""

from __future__ import annotations

import contextlib
import os
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from .. import files
from ..cache import locked
from ..errors import IntegrityError, UsageError, check_choice
from .run import (
    KIND,
    MAX_FILE_BYTES,
    MAX_LINE_BYTES,
    MAX_ROWS,
    Key,
    Run,
    add_judgement,
    encode_line,
    first_difference,
    identity,
    read_run,
)

# `auto` continues a file that is there, `never` refuses one, `require` starts no new one,
# `overwrite` replaces one
Resume = Literal["auto", "never", "require", "overwrite"]
RESUME: tuple[Resume, ...] = ("auto", "never", "require", "overwrite")


class RunWriter:
    """An open run file. Use `open_run`; one process at a time has it."""

    def __init__(self, run: Run) -> None:
        """Continue a run after its last whole line, dropping a torn one."""
        self.path = run.path
        self.rows: dict[str, Mapping[str, Any]] = dict(run.rows)  # Rows on disk by query id
        # Whether the footer is written; only judgements can be appended after that
        self.complete = run.complete
        # Judgements on disk by judge and query id
        self.judgements: dict[Key, Mapping[str, Any]] = dict(run.judgements)
        self._n = run.header.task.n
        self._size = run.valid_bytes
        with files.open_regular(run.path) as stream:
            self._hash = sha256(stream.read(run.valid_bytes))
        try:
            # without O_BINARY, which Windows alone has, it would turn line feeds into two bytes
            flags = os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0)
            self._descriptor = os.open(run.path, flags)
            if os.fstat(self._descriptor).st_size > self._size:
                os.ftruncate(self._descriptor, self._size)
        except OSError as error:
            raise files.write_error(run.path, error) from error

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write a batch of prediction rows and wait until they are on disk."""
        lines = []
        for row in rows:
            if row["qid"] in self.rows:
                raise IntegrityError(f"{self.path}: query id {row['qid']} already has a row")
            lines.append(encode_line({"kind": "pred", **row}))
            if len(lines[-1]) > MAX_LINE_BYTES:
                raise UsageError(
                    f"the reply to query {row['qid']} makes a line of {len(lines[-1])} bytes, "
                    f"a run file allows {MAX_LINE_BYTES}; let the explainer answer more briefly"
                )
        if len(self.rows) + len(rows) > MAX_ROWS:
            raise UsageError(f"{self.path}: a run file has at most {MAX_ROWS} rows")
        self._write(b"".join(lines))
        self.rows.update({row["qid"]: row for row in rows})

    def finish(self, *, counts: Mapping[str, int], cost: Mapping[str, float]) -> None:
        """Write the footer: rows by status, and the whole run's seconds and tokens in and out."""
        if len(self.rows) != self._n:
            raise IntegrityError(f"{self.path}: {len(self.rows)} rows of {self._n}, not complete")
        footer = {
            "kind": "footer",
            "complete": True,
            "counts": dict(counts),
            "cost": dict(cost),
            "claimed": {},
            "body_sha256": self._hash.hexdigest(),
        }
        self._write(encode_line(footer))
        self.complete = True

    def judge(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write a batch of judgements and wait until they are on disk."""
        if not self.complete:
            raise UsageError(f"{self.path} is not complete; finish the run before it is judged")
        known = dict(self.judgements)
        for row in rows:
            add_judgement(row, known, self.rows, f"{self.path}: new judgement")
        self._write(b"".join(encode_line({**row, "kind": KIND}) for row in rows))
        self.judgements = known

    def close(self) -> None:
        """Close the file; what was appended stays."""
        os.close(self._descriptor)

    def _write(self, data: bytes) -> None:
        if self._size + len(data) > MAX_FILE_BYTES:
            raise UsageError(f"{self.path}: a run file has at most {MAX_FILE_BYTES} bytes")
        written = 0
        try:
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
            os.fsync(self._descriptor)
        except BaseException as error:
            # Also on a keyboard interrupt. If this fails too, the next start drops the torn line.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            if isinstance(error, OSError):
                raise files.write_error(self.path, error) from error
            raise
        self._size += len(data)
        self._hash.update(data)


@contextmanager
def open_run(
    path: Path, header: Mapping[str, Any], *, resume: Resume = "auto"
) -> Iterator[RunWriter]:
    """Create a run file, or continue the run of the same `identity`; a lock file is beside it."""
    _check_mode(path, resume)
    line, encoded = _encode_header(header)
    with _lock(path):
        if resume != "overwrite" and _holds_something(path):
            run = read_run(path)
            _check_same(run, encoded, resume)
        else:
            files.write_bytes_atomic(path, line)
            run = read_run(path)
        with closing(RunWriter(run)) as writer:
            yield writer


@contextmanager
def open_judging(path: Path) -> Iterator[RunWriter]:
    """Open a complete run file to append judgements; a lock file is kept beside it."""
    if not path.is_file():
        raise UsageError(f"cannot read {path}: no such file; check the path")
    with _lock(path):
        run = read_run(path)
        if not run.complete:
            raise UsageError(f"{path} is not complete; finish the run before it is judged")
        with closing(RunWriter(run)) as writer:
            yield writer


def check_run_file(path: Path, header: Mapping[str, Any], *, resume: Resume = "auto") -> None:
    """Refuse what `open_run` would refuse, as far as it shows before the explainer is loaded.

    Of `header`, the explainer counts by `shots`, `no_vector` and `shuffled_vectors` only,
    `generation` by what was chosen.
    """
    _check_mode(path, resume)
    _, encoded = _encode_header(header)
    if resume != "overwrite" and _holds_something(path):
        _check_same(read_run(path), encoded, resume, loaded=False)


def _check_mode(path: Path, resume: Resume) -> None:
    check_choice("resume mode", resume, RESUME)
    if resume == "require" and not path.exists():
        raise UsageError(f"{path} does not exist, and the run was required to be resumed")


def _holds_something(path: Path) -> bool:
    """Whether a file is there; an empty one, such as a reserved name, holds nothing to lose."""
    return path.exists() and not (path.is_file() and path.stat().st_size == 0)


def _encode_header(header: Mapping[str, Any]) -> tuple[bytes, dict[str, Any]]:
    try:
        line = encode_line(header)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the run's settings can't be written as JSON: {error}") from error
    if len(line) > MAX_LINE_BYTES:
        raise UsageError(
            f"the run's header has {len(line)} bytes, at most {MAX_LINE_BYTES} fit; "
            f"name fewer query ids"
        )
    try:
        return line, files.parse_object(line, "header")
    except IntegrityError as error:
        raise UsageError(f"the run's settings could not be read back: {error}") from error


def _check_same(
    run: Run, header: Mapping[str, Any], resume: Resume, *, loaded: bool = True
) -> None:
    """Refuse to continue a file that must not be continued, or that another run wrote."""
    if resume == "never":
        raise UsageError(f"{run.path} exists; choose another output or allow resuming")
    there, now = identity(run.header.to_json()), identity(header)
    if not loaded:  # who answers is not known yet, nor what it depends on
        chosen = now["generation"].keys()
        for part in (there, now):
            part.pop("env", None)
            part.pop("access")
            kept = part["generation"].items()
            part["generation"] = {key: value for key, value in kept if key in chosen}
            part["explainer"] = {
                key: part["explainer"].get(key)
                for key in ("shots", "no_vector", "shuffled_vectors")
            }
    if difference := first_difference(there, now):
        field, theirs, ours = difference
        raise IntegrityError(
            f"{run.path} is another run: {field} is {reprlib.repr(theirs)} there "
            f"and {reprlib.repr(ours)} now; choose another output, or start anew with --overwrite"
        )


def _lock(path: Path) -> AbstractContextManager[None]:
    busy = f"another process is writing {path}; wait for it to end"
    return locked(path, name=f".{path.name}.lock", busy=busy)
