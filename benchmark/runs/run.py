"""The run file: one JSONL of header, prediction rows, footer and judgements, read strictly.

Only the raw text of a row counts. A file without a footer is a valid, incomplete run; its last line
may be torn. Judgements follow the footer, which does not cover them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from .. import files
from ..errors import IntegrityError
from .header import Header
from .judgements import KIND, Key, add_judgement

MAX_FILE_BYTES = 64 << 20
MAX_LINE_BYTES = 64 << 10
"""Longest line of a run file: bounds the raw text of one reply."""
MAX_ROWS = 20_000

# What two headers may differ in and still be the same run: one process, its time and its machine.
_NOT_IDENTITY = ("run_id", "created", "env", "selftest")
# The part of `env` that can change what a model replies.
_MODEL_ENV = ("device", "torch", "transformers")
_NOT_IDENTITY_PACKAGE = ("commit", "dirty")

_ID = re.compile("[0-9a-f]{16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run file's contents."""

    path: Path
    """Where it was read from."""
    header: Mapping[str, Any]
    """The first line."""
    rows: Mapping[str, Mapping[str, Any]]
    """Prediction rows by query id, in the order of the file."""
    footer: Mapping[str, Any] | None
    """The line after the last row, or None if the run is incomplete."""
    valid_bytes: int
    """Length of the file without a torn last line."""
    judgements: Mapping[Key, Mapping[str, Any]] = field(default_factory=dict)
    """What judges appended, by judge and query id, in the order of the file."""

    @property
    def complete(self) -> bool:
        """Whether every query has its row and the footer says so."""
        return self.footer is not None


def read_run(path: Path) -> Run:
    """Read a run file."""
    with files.open_regular(path) as stream:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise IntegrityError(f"{path}: {size} bytes, a run file has at most {MAX_FILE_BYTES}")
        return _read(files.iter_lines(stream, str(path), max_line_bytes=MAX_LINE_BYTES), path)


def _read(lines: Iterable[tuple[int, bytes]], path: Path) -> Run:
    header: dict[str, Any] | None = None
    rows: dict[str, Mapping[str, Any]] = {}
    footer: dict[str, Any] | None = None
    judgements: dict[Key, Mapping[str, Any]] = {}
    valid_bytes = 0
    body = sha256()
    for number, line in lines:
        where = f"{path}:{number}"
        if not line.endswith(b"\n"):
            # Only the last line can lack its end; a header can't be torn, it is there whole or not.
            if header is None:
                raise IntegrityError(f"{where}: not a run file: its first line has no end")
            break
        row = files.parse_object(line, where)
        if footer is not None:
            if row.get("kind") != KIND:
                raise IntegrityError(f"{where}: only judgements follow the footer")
            add_judgement(row, judgements, rows, where)
        elif header is None:
            Header.from_json(row, where)
            header = row
        elif row.get("kind") == "pred":
            _add(row, rows, where)
        elif row.get("kind") == "footer":
            footer = _footer(row, header, rows, body.hexdigest(), where)
        else:
            raise IntegrityError(f"{where}: field kind is neither 'pred' nor 'footer'")
        body.update(line)
        valid_bytes += len(line)
    if header is None:
        raise IntegrityError(f"{path}: empty, a run file starts with a header")
    return Run(
        path=path,
        header=header,
        rows=rows,
        footer=footer,
        valid_bytes=valid_bytes,
        judgements=judgements,
    )


def encode_line(row: Mapping[str, Any]) -> bytes:
    """Return one line of a run file: compact JSON, keys in the given order, a line feed."""
    return files.compact_json(row).encode() + b"\n"


def identity(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a header that makes two runs the same run.

    Everything counts except the run's name and time, the machine, self-tests, the metrics, and the
    commit of the package. Device and versions of the libraries that run models count too, unless
    the explainer only looks up what it replies.
    """
    kept = {key: value for key, value in header.items() if key not in _NOT_IDENTITY}
    package = kept["package"]
    kept["package"] = {key: package[key] for key in package if key not in _NOT_IDENTITY_PACKAGE}
    # Metrics are applied when scoring; a reply does not depend on them.
    kept["task"] = {key: value for key, value in kept["task"].items() if key != "metric_version"}
    if runs_model(header["explainer"]):
        env = header.get("env")
        known = env if isinstance(env, Mapping) else {}
        kept["env"] = {key: known[key] for key in _MODEL_ENV if key in known}
    return kept


def runs_model(explainer: Mapping[str, Any]) -> bool:
    """Whether a header's explainer runs a model, or, being somebody's own, may do so."""
    return explainer["kind"] in ("custom", "lm-eval") or bool(explainer.get("weights_sha256"))


def first_difference(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], prefix: str = ""
) -> tuple[str, Any, Any] | None:
    """Return path and both values, `"(absent)"` if lacking, of the first field that differs."""
    for key in [*ours, *(key for key in theirs if key not in ours)]:
        a, b = ours.get(key, "(absent)"), theirs.get(key, "(absent)")
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            if inner := first_difference(a, b, f"{prefix}{key}."):
                return inner
        elif a != b or type(a) is not type(b):
            return f"{prefix}{key}", a, b
    return None


def _add(row: dict[str, Any], rows: dict[str, Mapping[str, Any]], where: str) -> None:
    """Check one prediction row and add it."""
    qid = row.get("qid")
    if not isinstance(qid, str) or not _ID.fullmatch(qid):
        raise IntegrityError(f"{where}: field qid is not 16 hexadecimal digits")
    if qid in rows:
        raise IntegrityError(f"{where}: query id {qid} appears twice")
    if not isinstance(row.get("raw"), str):
        raise IntegrityError(f"{where}: field raw is missing or not text")
    for name in ("i", "n_in", "n_out", "ms"):
        if not _is_count(row.get(name, 0)):
            raise IntegrityError(f"{where}: field {name} is not a number of 0 or more")
    if not (_is_count(row.get("confidence", 0)) and row.get("confidence", 0) <= 1):
        raise IntegrityError(f"{where}: field confidence is not a number from 0 to 1")
    for name in ("logprob_verdict", "logprob_reply"):
        if not _is_logarithm(row.get(name, 0)):
            raise IntegrityError(f"{where}: field {name} is not a number of 0 or less")
    if len(rows) >= MAX_ROWS:
        raise IntegrityError(f"{where}: more than {MAX_ROWS} rows")
    rows[qid] = row


def _footer(
    row: dict[str, Any], header: Mapping[str, Any], rows: Mapping[str, Any], found: str, where: str
) -> dict[str, Any]:
    if row.get("body_sha256") != found:
        raise IntegrityError(
            f"{where}: body_sha256 is {row.get('body_sha256')!r}, the lines above hash to {found!r}"
        )
    if row.get("complete") is not True or len(rows) != header["task"]["n"]:
        raise IntegrityError(
            f"{where}: a footer ends a complete run, but there are {len(rows)} rows "
            f"of {header['task']['n']}"
        )
    if not isinstance(row.get("claimed", {}), dict) or not isinstance(row.get("cost", {}), dict):
        raise IntegrityError(f"{where}: fields claimed and cost must be objects")
    return row


def _is_count(value: object) -> bool:
    return _is_number(value) and value >= 0  # type: ignore[operator]


def _is_logarithm(value: object) -> bool:
    return _is_number(value) and value <= 0  # type: ignore[operator]


def _is_number(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)
