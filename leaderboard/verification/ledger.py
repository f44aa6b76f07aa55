"""The public ledger of submissions: what was checked, flagged or withdrawn, and what follows.

`introspect-bench/ledger/1`: one JSON object a line. The file only grows: each line holds the hash
of all bytes above it, so that a line changed or removed later shows in every line below. A file
beside it, the head, holds the hash of the whole, so that the last line shows too, and an end that
was cut off. Who changes both files on purpose is seen in git alone.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from ...benchmark import files
from ...benchmark.cache import locked
from ...benchmark.errors import IntegrityError, MissingPartError
from ..submissions.schema import (
    ENTRY_ID,
    date_problem,
    is_text,
    matching,
    one_of,
    problems_of,
    rule,
)
from ..submissions.text_rules import name_problem, text_problem

SCHEMA, HEAD_SCHEMA = "introspect-bench/ledger/1", "introspect-bench/ledger-head/1"
BY_HAND = ("accept", "flag", "withdraw", "restore", "rescore")
"""Events that a person adds; `rescore` explains a change of scores by a new package version."""
EVENTS = (*BY_HAND, "recheck", "rejudge", "rerun", "fresh")
"""`rejudge` is a recheck of judgements by the frozen judges."""
MAX_BYTES = 16 << 20

_SHA, _COMMIT = re.compile("[0-9a-f]{64}"), re.compile("[0-9a-f]{40}")


def _commit_problem(value: Any) -> str | None:
    return None if value is None else matching(_COMMIT, "40 hexadecimal digits")(value)


def _tasks_problem(value: Any) -> str | None:
    if not isinstance(value, dict):
        return "is not an object"
    for name, pair in value.items():
        whole = isinstance(pair, list) and len(pair) == 2 and all(type(n) is int for n in pair)
        if not whole or not 0 <= pair[0] <= pair[1] or pair[1] == 0:
            return f"has a {name[:80]} that is not [agreed, asked]"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the ledger."""

    number: int = 0  # line of the file, from 1; 0 before it is written
    date: str = rule(is_text(date_problem), default_factory=lambda: f"{datetime.now(UTC):%Y-%m-%d}")
    event: str = rule(one_of(EVENTS))
    entry: str = rule(matching(ENTRY_ID, "the id of an entry"))
    # Hash of the entry's files when it was looked at, see `entries.entry_sha256`.
    entry_sha256: str = rule(matching(_SHA, "64 hexadecimal digits"))
    by: str = rule(is_text(partial(name_problem, max_chars=60)))
    commit: str | None = rule(_commit_problem, default=None)
    reason: str = rule(is_text(partial(text_problem, max_chars=500)))
    # Of checks: queries answered the same, and queries asked, by task.
    tasks: Mapping[str, tuple[int, int]] = rule(_tasks_problem, default_factory=dict)
    # What else is needed to do it again, such as the nonce of a recheck; JSON values.
    details: Mapping[str, Any] = rule(
        lambda value: None if isinstance(value, dict) else "is not an object", default_factory=dict
    )


def head_of(path: Path) -> Path:
    """Return the file that holds the hash of a ledger."""
    return path.with_suffix(".head.json")


def read_ledger(path: Path) -> tuple[Line, ...]:
    """Read a ledger; one that does not exist, and has no head, is empty."""
    return _read(path)[0]


def append_line(path: Path, line: Line) -> Line:
    """Append a line and wait until it is on disk; all that is there is read and checked first.

    One process at a time does, others wait: each line holds the hash of those above.
    """
    if not path.parent.is_dir():
        raise MissingPartError(f"cannot write {path}: its folder is not there; check the path")
    with locked(path, name=f".{path.name}.lock"):
        return _append(path, line)


def _append(path: Path, line: Line) -> Line:
    lines, before = _read(path)
    digest = files.sha256_bytes(before)
    row = asdict(line) | {"schema": SCHEMA, "previous": digest}
    del row["number"]
    row["tasks"] = {name: list(pair) for name, pair in line.tasks.items()}
    written = _line(row, digest, len(lines) + 1, f"{path}:{len(lines) + 1}")
    after = before + files.canonical_json(row).encode() + b"\n"
    # killed at any moment, the ledger is one of those that its head allows
    _write_head(path, before, after)
    files.write_bytes_atomic(path, after)
    with contextlib.suppress(MissingPartError):  # the line is written, whatever happens to the disk
        _write_head(path, after)
    return written


def _write_head(path: Path, *ledgers: bytes) -> None:
    said = {"schema": HEAD_SCHEMA, "sha256": [files.sha256_bytes(data) for data in ledgers]}
    files.write_json_atomic(head_of(path), said)


def _read(path: Path) -> tuple[tuple[Line, ...], bytes]:
    """The lines of a ledger, and its bytes."""
    digest, lines, data = sha256(), list[Line](), bytearray()
    allowed = _allowed(path)
    if path.exists() or path.is_symlink():
        with files.open_regular(path) as stream:
            if path.stat().st_size > MAX_BYTES:
                raise IntegrityError(f"{path}: a ledger has at most {MAX_BYTES} bytes")
            for number, one in files.iter_lines(stream, str(path)):
                where = f"{path}:{number}"
                if not one.endswith(b"\n"):
                    raise IntegrityError(f"{where}: the line has no end")
                row = files.parse_object(one, where)
                lines.append(_line(row, digest.hexdigest(), number, where))
                digest.update(one)
                data += one
    # asked twice: another process may append meanwhile
    if digest.hexdigest() not in allowed + _allowed(path):
        head = head_of(path)
        raise IntegrityError(
            f"{path}: its {len(lines)} lines are not those of {head.name}: one of the two was "
            "emptied, cut or changed, or is not there; restore both from git, `git checkout -- "
            f"{path} {head}`"
        )
    return tuple(lines), bytes(data)


def _allowed(path: Path) -> list[str]:
    """The hashes that a ledger may have: one, or two while a line is appended."""
    head = head_of(path)
    if not head.exists() and not head.is_symlink():
        return [files.sha256_bytes(b"")]
    said = files.read_json(head)
    if said.get("schema") != HEAD_SCHEMA or not isinstance(said.get("sha256"), list):
        raise IntegrityError(f"{head}: not the head of a ledger; restore it from git")
    return list(said["sha256"])


def _line(row: Mapping[str, Any], digest: str, number: int, where: str) -> Line:
    said = {name: value for name, value in row.items() if name not in ("schema", "previous")}
    if row.get("schema") != SCHEMA:
        raise IntegrityError(f"{where}: field schema is not {SCHEMA!r}")
    for name, problem in problems_of(Line, said):
        raise IntegrityError(f"{where}: field {name[:80]} {problem}")
    if row.get("previous") != digest:
        raise IntegrityError(
            f"{where}: a line above was changed: its bytes hash to {digest}, not to what this line "
            "was written under; restore the file from git"
        )
    tasks = {name: (agreed, asked) for name, (agreed, asked) in row["tasks"].items()}
    return Line(number=number, **said | {"tasks": tasks})


TIERS: Mapping[int, tuple[str, str]] = {
    1: ("re-scored", "CI computed every number from the raw replies."),
    2: ("spot-checked", "A maintainer asked the explainer some queries again, chosen by hash."),
    3: ("re-run", "A maintainer ran the explainer on every query again."),
    4: ("fresh-split confirmed", "The explainer was run on queries that did not exist before."),
}
"""Label of each tier, and what it means in a sentence."""
AGREEMENT = 0.9
"""Share of queries answered the same from which a check confirms an entry. Not 1: a model's last
bits depend on device and batch, and the share itself is shown."""
MIN_ASKED = 20  # fewest queries of a task that make a spot check
WITHOUT_TARGET = "without_target"
"""Key of `details`: whether a check ran in a process that holds no weights of the target."""
_CHECKS = {"recheck": 2, "rerun": 3, "fresh": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerState:
    """Where an entry stands."""

    tier: int  # 1 to 4, see `TIERS`
    lines: tuple[Line, ...]  # all that the ledger says of the entry, oldest first
    withdrawn: bool  # whether it is withdrawn; it stays on the board, greyed out
    flags: tuple[str, ...]  # reasons of its flags since it was last restored
    # Whether it gave its answers in a process that holds no weights of the target: True if
    # all of them, for every task; False if it failed; None if that was not tried.
    without_target: bool | None = None
    # Descriptions that the frozen judges judged again: how many came out the same, of how many.
    rejudged: tuple[int, int] | None = None


def standing(
    lines: Sequence[Line], entry: str, entry_sha256: str, tasks: Collection[str] = ()
) -> LedgerState:
    """Say where an entry stands; checks of other bytes than those it holds now do not count.

    An entry has the tier that all of its tasks have; `tasks` are those it has runs of, or those
    that were checked if empty. Of several checks of one kind the last counts.
    """
    own = tuple(line for line in lines if line.entry == entry)
    withdrawn = False
    flags: list[str] = []
    confirmed: dict[tuple[str, str], bool] = {}
    alone: dict[str, bool] = {}
    rejudged = None
    for line in own:
        if line.event == "withdraw":
            withdrawn = True
        elif line.event == "restore":
            withdrawn, flags = False, []
        elif line.event == "flag":
            flags.append(line.reason)
        elif line.event == "rejudge" and line.entry_sha256 == entry_sha256:
            pairs = list(line.tasks.values())
            rejudged = sum(same for same, _ in pairs), sum(asked for _, asked in pairs)
        elif line.event in _CHECKS and line.entry_sha256 == entry_sha256:
            sound = {task: confirms(line, task) for task in line.tasks}
            if line.details.get(WITHOUT_TARGET) is True:
                alone |= _alone(line)
                # that an explainer needs the target says nothing of who gave the answers
                sound = {task: True for task, ok in sound.items() if ok}
            confirmed |= {(task, line.event): ok for task, ok in sound.items()}
    tiers = [
        max(_CHECKS[event] if confirmed.get((task, event)) else 1 for event in _CHECKS)
        for task in tasks or {task for task, _ in confirmed}
    ]
    whole = bool(alone) and set(tasks) <= alone.keys()
    return LedgerState(
        tier=min(tiers, default=1),
        lines=own,
        withdrawn=withdrawn,
        flags=tuple(flags),
        without_target=(whole or None) if all(alone.values()) else False,
        rejudged=rejudged,
    )


def _alone(line: Line) -> dict[str, bool]:
    """By task: whether enough came out the same; a part of the queries can only refute."""
    same = {task: agreed >= AGREEMENT * asked for task, (agreed, asked) in line.tasks.items()}
    return {task: ok for task, ok in same.items() if line.event != "recheck" or not ok}


def confirms(line: Line, task: str) -> bool:
    """Whether a check asked enough of a task and found enough of it the same."""
    agreed, asked = line.tasks[task]
    enough = line.event != "recheck" or asked >= MIN_ASKED
    return enough and agreed >= AGREEMENT * asked
