"""The ledger only grows, says who and why, and gives every entry its tier."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from introspect_bench.benchmark import files
from introspect_bench.benchmark.errors import IntegrityError, MissingPartError
from introspect_bench.leaderboard.submissions.entries import LEDGER, LISTED
from introspect_bench.leaderboard.verification.ledger import (
    Line,
    append_line,
    head_of,
    read_ledger,
    standing,
)

ENTRY = "acme__model__01234567"
SHA, OTHER = "ab" * 32, "cd" * 32


def add(path: Path, event: str = "accept", **changes: Any) -> None:
    fields: dict[str, Any] = {
        "event": event,
        "entry": ENTRY,
        "entry_sha256": SHA,
        "by": "Ann",
        "reason": "as it should be",
        "date": "2026-11-25",
    }
    append_line(path, Line(**(fields | changes)))


def tier(path: Path, *tasks: str, sha: str = SHA) -> int:
    return standing(read_ledger(path), ENTRY, sha, tasks).tier


def test_a_ledger_that_is_not_there_is_empty_and_grows_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    assert read_ledger(path) == ()
    for number in range(3):
        before = path.read_bytes() if path.exists() else b""
        add(path, reason=f"line {number}")
        assert path.read_bytes().startswith(before)
    lines = read_ledger(path)
    assert [line.number for line in lines] == [1, 2, 3]
    assert [line.reason for line in lines] == ["line 0", "line 1", "line 2"]


def test_every_tier_is_reached_and_only_for_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    assert tier(path, "a") == 1
    add(path)
    assert tier(path, "a") == 1
    add(path, "recheck", tasks={"a": (18, 20)})
    assert tier(path, "a") == 2
    assert tier(path, "a", sha=OTHER) == 1
    add(path, "rerun", tasks={"a": (900, 1000)})
    assert tier(path, "a") == 3
    add(path, "fresh", tasks={"a": (1, 1)})
    assert tier(path, "a") == 4
    assert tier(path, "a", "b") == 1  # nobody looked at b
    add(path, "recheck", tasks={"b": (20, 20)})
    assert tier(path, "a", "b") == 2


@pytest.mark.parametrize(("agreed", "asked"), [(17, 20), (5, 5), (0, 1000)])
def test_too_little_agreement_or_too_few_queries_confirm_nothing(
    tmp_path: Path, agreed: int, asked: int
) -> None:
    path = tmp_path / "ledger.jsonl"
    add(path, "recheck", tasks={"a": (agreed, asked)})
    assert tier(path, "a") == 1


def test_a_later_check_that_fails_takes_the_tier_away(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    add(path, "recheck", tasks={"a": (20, 20)})
    add(path, "recheck", tasks={"a": (3, 20)})
    assert tier(path, "a") == 1


def test_flags_and_withdrawals_stay_until_it_is_restored(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    add(path, "flag", reason="replies look copied")
    add(path, "withdraw", reason="by its makers")
    found = standing(read_ledger(path), ENTRY, SHA)
    assert (found.flags, found.withdrawn) == (("replies look copied",), True)
    assert len(found.lines) == 2
    add(path, "restore", reason="a mistake")
    found = standing(read_ledger(path), ENTRY, SHA)
    assert (found.flags, found.withdrawn, len(found.lines)) == ((), False, 3)
    assert standing(read_ledger(path), "other__model__01234567", SHA).lines == ()


def test_a_line_that_was_changed_or_removed_shows(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    for number in range(3):
        add(path, reason=f"line {number}")
    whole = path.read_bytes().splitlines(keepends=True)
    for spoilt in (
        [whole[0], whole[2]],
        [whole[1], whole[2]],
        [whole[1], whole[0], whole[2]],
        [whole[0].replace(b"Ann", b"Bob"), *whole[1:]],
        [b"\n", *whole],
        [*whole, whole[2][:20]],
        [*whole, whole[0]],
    ):
        path.write_bytes(b"".join(spoilt))
        with pytest.raises(IntegrityError, match=r"ledger\.jsonl:[1-4]"):
            read_ledger(path)
        with pytest.raises(IntegrityError):
            add(path)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def removed(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def last_line_changed(path: Path) -> None:
    first, _, last = path.read_bytes()[:-1].rpartition(b"\n")
    path.write_bytes(first + b"\n" + last.replace(b"Ann", b"Bob") + b"\n")


def without_head(path: Path) -> None:
    head_of(path).unlink()


def head_emptied(path: Path) -> None:
    head_of(path).write_bytes(b"{}\n")


@pytest.mark.parametrize(
    "spoil", [emptied, removed, cut, last_line_changed, without_head, head_emptied]
)
def test_a_ledger_whose_end_was_lost_or_changed_is_refused(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    path = tmp_path / "ledger.jsonl"
    for number in range(3):
        add(path, reason=f"line {number}")
    spoil(path)
    kept = {one.name: one.read_bytes() for one in (path, head_of(path)) if one.exists()}
    with pytest.raises(IntegrityError, match=r"restore (both|it) from git"):
        read_ledger(path)
    with pytest.raises(IntegrityError, match=r"restore (both|it) from git"):
        add(path)
    assert {name: (tmp_path / name).read_bytes() for name in kept} == kept


@pytest.mark.parametrize("n_before", [0, 2])
@pytest.mark.parametrize("n_written", [0, 1, 2, 3])
def test_an_append_that_is_killed_between_two_files_leaves_a_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_before: int, n_written: int
) -> None:
    """Three files are written in turn; the next command finds the old lines or the new ones."""
    path = tmp_path / "ledger.jsonl"
    for number in range(n_before):
        add(path, reason=f"line {number}")
    write, written = files._write_atomic, list[str]()

    def killed(to: Path, chunks: Iterable[bytes]) -> None:
        if len(written) == n_written:
            raise KeyboardInterrupt
        written.append(to.name)
        write(to, chunks)

    with monkeypatch.context() as patch:
        patch.setattr(files, "_write_atomic", killed)
        if n_written == 3:
            add(path, reason="new")
        else:
            with pytest.raises(KeyboardInterrupt):
                add(path, reason="new")
    expected = [f"line {number}" for number in range(n_before)] + ["new"] * (n_written >= 2)
    assert [line.reason for line in read_ledger(path)] == expected
    add(path, reason="later")
    assert [line.reason for line in read_ledger(path)] == [*expected, "later"]
    cut(path)
    with pytest.raises(IntegrityError, match="restore both from git"):
        read_ledger(path)


def test_its_head_may_lie_beside_it_among_the_submissions(tmp_path: Path) -> None:
    assert head_of(tmp_path / LEDGER).name in LISTED


BAD: tuple[dict[str, Any], ...] = (
    {"event": "praise"},
    {"entry": "../../x"},
    {"entry_sha256": "ab"},
    {"by": "<b>Ann</b>"},
    {"by": "A\u202enn"},
    {"reason": ""},
    {"reason": "a" * 501},
    {"reason": "a\u200bb"},
    {"date": "today"},
    {"commit": "main"},
    {"tasks": {"a": (2, 1)}},
    {"tasks": {"a": (0, 0)}},
    {"tasks": {"a": (True, 1)}},
)


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_a_bad_line_is_neither_written_nor_read(tmp_path: Path, bad: dict[str, Any]) -> None:
    path = tmp_path / "ledger.jsonl"
    with pytest.raises(IntegrityError):
        add(path, **bad)
    assert not path.exists()
    add(path)
    row = json.loads(path.read_bytes()) | {
        key: {name: list(pair) for name, pair in value.items()} if key == "tasks" else value
        for key, value in bad.items()
    }
    path.write_bytes(json.dumps(row).encode() + b"\n")
    with pytest.raises(IntegrityError, match=r"ledger\.jsonl:1: "):
        read_ledger(path)


def test_a_full_disk_leaves_the_ledger_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.jsonl"
    add(path)
    before = path.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(MissingPartError, match="no disk space left"):
        add(path)
    assert path.read_bytes() == before
    assert len(read_ledger(path)) == 1


def test_a_place_that_cannot_be_written_is_exit_3(tmp_path: Path) -> None:
    with pytest.raises(MissingPartError):
        add(tmp_path / "nowhere" / "ledger.jsonl")


APPEND = """
import sys
from pathlib import Path
from introspect_bench.leaderboard.verification.ledger import Line, append_line

for number in range(10):
    said = {"entry": "acme__model__01234567", "entry_sha256": "ab" * 32, "by": "Ann"}
    append_line(Path(sys.argv[1]), Line(event="accept", reason=f"{sys.argv[2]} {number}", **said))
"""


def test_processes_that_append_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    command = [sys.executable, "-c", APPEND, str(path)]
    started = [subprocess.Popen([*command, name]) for name in "abcd"]
    assert [one.wait(300) for one in started] == [0] * 4
    said = sorted(line.reason for line in read_ledger(path))
    assert said == [f"{name} {number}" for name in "abcd" for number in range(10)]
