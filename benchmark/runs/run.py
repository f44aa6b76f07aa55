"""The run file: one JSONL of header, prediction rows, footer and judgements, read strictly.

Only the raw text of a row counts. A file without a footer is a valid, incomplete run; its last line
may be torn. Judgements follow the footer, which does not cover them.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from .. import files
from ..errors import IntegrityError, UsageError
from ..judging.rubric import rated
from ..records import Replied
from ..suite.select import check_about, check_task, ids_sha256, select_queries
from ..suite.suite import Suite
from ..task import Task
from .header import Header

MAX_FILE_BYTES = 64 << 20
MAX_LINE_BYTES = 64 << 10  # Longest line of a run file: bounds the raw text of one reply
MAX_ROWS = 20_000
MAX_JUDGEMENTS = 60_000

KIND = "judgement"
RATED = "judge/"  # Prefix of language models that rate; their rows hold `raw` and `value`
PREDICTED = "predicted"  # Field of all other judges, in base64
# How a judge that maps descriptions to known ones read one: by its grammar, as the nearest, not at
# all
MAPPED = ("grammar", "nearest", "none")

Key = tuple[str, str]  # Judge and query id

# What two headers may differ in and still be the same run: one process, its time and its machine.
_NOT_IDENTITY = ("run_id", "created", "env", "selftest")
_MODEL_ENV = ("device", "torch", "transformers")  # Can change what a model replies

_ID = re.compile("[0-9a-f]{16}")
_JUDGE = re.compile(r"[a-z]+(?:-[a-z]+)*/[\w.-]{1,80}@[0-9a-f]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run file's contents."""

    path: Path
    header: Header
    rows: Mapping[str, Mapping[str, Any]]  # Prediction rows by query id, in the order of the file
    footer: Mapping[str, Any] | None  # None if the run is incomplete
    valid_bytes: int  # Length of the file without a torn last line
    judgements: Mapping[Key, Mapping[str, Any]] = field(default_factory=dict)
    asked: int | None = None  # Rows that the call which gave this run wrote; None: none gave it

    @property
    def complete(self) -> bool:
        """Whether every query has its row and the footer says so."""
        return self.footer is not None

    @property
    def body_sha256(self) -> str | None:
        """Hash of header and rows, None if the run is incomplete."""
        return self.footer["body_sha256"] if self.footer else None


Named = Path | str | Iterable[Path | str]  # Run files, or folders of them


def run_files(named: Named) -> list[Path]:
    """Return the run files that are named: files as they are, of a folder those that lie in it."""
    found: list[Path] = []
    for path in map(Path, [named] if isinstance(named, Path | str) else named):
        inside = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
        if not inside:
            raise UsageError(f"cannot read {path}: the folder holds no run file (*.jsonl)")
        found += inside
    return found


def run_file(named: Path | str) -> Path:
    """Return the run file that is named, or the only one in a folder."""
    found = run_files(named)
    if len(found) > 1:
        raise UsageError(f"{named} holds {len(found)} run files; give one, such as {found[0]}")
    return found[0]


def read_run(path: Path) -> Run:
    """Read a run file."""
    with files.open_regular(path) as stream:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise IntegrityError(f"{path}: {size} bytes, a run file has at most {MAX_FILE_BYTES}")
        return _read(files.iter_lines(stream, str(path), max_line_bytes=MAX_LINE_BYTES), path)


def _read(lines: Iterable[tuple[int, bytes]], path: Path) -> Run:
    header: Header | None = None
    rows: dict[str, Mapping[str, Any]] = {}
    footer: dict[str, Any] | None = None
    judgements: dict[Key, Mapping[str, Any]] = {}
    valid_bytes = 0
    body, name = sha256(), str(path)
    for number, line in lines:
        where = f"{name}:{number}"
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
            header = Header.from_json(row, where)
        elif row.get("kind") == "pred":
            _add(row, rows, where)
        elif row.get("kind") == "footer":
            _check_footer(row, header.task.n, len(rows), body.hexdigest(), where)
            footer = row
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


def read_replies(run: Run, task: Task, suite: Suite) -> tuple[Replied, ...]:
    """Put every query a run is about beside its raw reply, read again, in the suite's order.

    The header is believed nothing: all that ties a run to its suite is checked. Opens no truth.
    """
    check_task(task, suite)
    asked = run.header.task
    check_about(asked, suite, run.path)
    try:
        everything = suite.queries(asked.split)
        queries = select_queries(everything, limit=asked.limit, ids=asked.query_ids)
    except UsageError as error:
        # What would be a slip on the command line is a contradiction in a file.
        raise IntegrityError(f"{run.path}: the header is about no queries here: {error}") from error
    if asked.query_ids_sha256 != ids_sha256(queries) or asked.n != len(queries):
        raise IntegrityError(
            f"{run.path}: task.query_ids_sha256 and task.n are not those of the queries it names"
        )
    if run.header.partial is not (len(queries) < len(everything)):
        raise IntegrityError(f"{run.path}: field partial is {run.header.partial}, it is not so")
    if unknown := sorted(run.rows.keys() - {query.id for query in queries}):
        raise IntegrityError(f"{run.path}: query id {unknown[0]} is not among the run's queries")
    found = []
    for query in queries:
        raw = run.rows[query.id]["raw"] if query.id in run.rows else None
        answer = None if raw is None else task.parse(raw)
        found.append(Replied(query=query, raw=raw, answer=answer))
    return tuple(found)


def encode_line(row: Mapping[str, Any]) -> bytes:
    """Return one line of a run file: compact JSON, keys in the given order, a line feed."""
    return files.compact_json(row).encode() + b"\n"


def identity(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a header's line that makes two runs the same run.

    Everything counts except the run's name and time, the machine, self-tests, the metrics, and the
    commit of the package. Device and versions of the libraries that run models count too, unless
    the explainer only looks up what it replies.
    """
    kept = {key: value for key, value in line.items() if key not in _NOT_IDENTITY}
    kept["package"] = {key: line["package"][key] for key in ("name", "version")}
    # Metrics are applied when scoring; a reply does not depend on them.
    kept["task"] = {key: value for key, value in kept["task"].items() if key != "metric_version"}
    explainer = line["explainer"]
    if explainer["kind"] == "custom" or explainer["weights_sha256"]:
        kept["env"] = {key: value for key, value in line["env"].items() if key in _MODEL_ENV}
    return kept


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
    for name, value in row.items():
        if name not in _NUMBERS:
            continue
        low, high, what = _NUMBERS[name]
        if not _is_number(value, low, high) or (name in _COUNTS and value != int(value)):
            raise IntegrityError(f"{where}: field {name} is not a number {what}")
    if len(rows) >= MAX_ROWS:
        raise IntegrityError(f"{where}: more than {MAX_ROWS} rows")
    rows[qid] = row


def _is_number(value: object, low: float, high: float) -> bool:
    finite = type(value) is int or (type(value) is float and math.isfinite(value))
    return finite and low <= value <= high  # type: ignore[operator]


MOST = (1 << 53) - 1  # Greatest count that every reader of JSON, CSV and Parquet holds exactly
_COUNTS = ("i", "n_in", "n_out")
_NUMBERS: Mapping[str, tuple[float, float, str]] = {
    **dict.fromkeys(_COUNTS, (0, MOST, f"of 0 or more; expected a whole number up to {MOST}")),
    "ms": (0, MOST, "of 0 or more"),
    "confidence": (0, 1, "from 0 to 1"),
    **dict.fromkeys(("logprob_verdict", "logprob_reply"), (-math.inf, 0, "of 0 or less")),
}


def _check_footer(row: Mapping[str, Any], n: int, n_rows: int, found: str, where: str) -> None:
    if row.get("body_sha256") != found:
        raise IntegrityError(
            f"{where}: body_sha256 is {row.get('body_sha256')!r}, the lines above hash to {found!r}"
        )
    if row.get("complete") is not True or n_rows != n:
        raise IntegrityError(
            f"{where}: a footer ends a complete run, but there are {n_rows} rows of {n}"
        )
    if not isinstance(row.get("claimed", {}), dict) or not isinstance(row.get("cost", {}), dict):
        raise IntegrityError(f"{where}: fields claimed and cost must be objects")
    for name, value in row.get("cost", {}).items():
        if not _is_number(value, 0, MOST):
            raise IntegrityError(f"{where}: field cost.{name[:80]} is not a number of 0 to {MOST}")


def add_judgement(
    row: Mapping[str, Any], found: dict[Key, Mapping[str, Any]], rows: Mapping[str, Any], where: str
) -> None:
    """Check a judgement and add it to those of `found`; `rows` are predictions by query id."""
    qid, judge = row.get("qid"), row.get("judge")
    if not isinstance(judge, str) or not _JUDGE.fullmatch(judge):
        raise IntegrityError(f"{where}: field judge is not KIND/NAME@ and 12 hexadecimal digits")
    if not isinstance(qid, str) or qid not in rows:
        raise IntegrityError(f"{where}: a judgement of a query that the run does not answer")
    if (judge, qid) in found:
        raise IntegrityError(f"{where}: {judge} judges query {qid} twice")
    if not isinstance(row.get("text"), str):
        raise IntegrityError(f"{where}: field text is missing or not text")
    if judge.startswith(RATED):
        raw = row.get("raw")
        if raw is not None and not isinstance(raw, str):
            raise IntegrityError(f"{where}: field raw is not text")
        if row.get("value") != rated(raw):
            said = f"value is {row.get('value')!r}, the reply says {rated(raw)}"
            raise IntegrityError(f"{where}: {said}")
    else:
        stored_bytes(row.get(PREDICTED), f"{where}: field {PREDICTED}")
        if row.get("mapped", MAPPED[0]) not in MAPPED:
            raise IntegrityError(f"{where}: field mapped is not one of {', '.join(MAPPED)}")
    if len(found) >= MAX_JUDGEMENTS:
        raise IntegrityError(f"{where}: more than {MAX_JUDGEMENTS} judgements")
    found[judge, qid] = row


def stored_bytes(text: object, where: str) -> bytes:
    """Read bytes that are stored as base64 with padding."""
    if not isinstance(text, str):
        raise IntegrityError(f"{where} is not text")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise IntegrityError(f"{where} is not base64: {error}") from error
