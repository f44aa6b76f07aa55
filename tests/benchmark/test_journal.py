"""A journal keeps finished batches whatever happens to the process."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from program import environment

from introspect_bench.benchmark.cache import Journal, sole_writer
from introspect_bench.benchmark.errors import MissingPartError, UsageError

ROWS: list[Any] = [{"text": "Москва", "margin": 0.1 + 0.2, "ids": [1, 2]}, None, "x\u2028y"]


class Never:
    def __call__(self) -> list[Any]:
        raise AssertionError("computed again")


def filled(path: Path, n: int = 3) -> Journal:
    journal = Journal(path)
    for i in range(n):
        journal.run(["batch", i], lambda i=i: [*ROWS, i])  # type: ignore[misc]
    return journal


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    first = filled(tmp_path / "j")
    again = Journal(tmp_path / "j")
    for i in range(3):
        assert again.run(["batch", i], Never()) == [*ROWS, i]
        assert first.run(["batch", i], Never()) == [*ROWS, i]


def test_rows_are_the_same_fresh_and_resumed(tmp_path: Path) -> None:
    """A tuple becomes a list at once, not only after a restart."""
    fresh = Journal(tmp_path / "j").run("a", lambda: [{"ids": (1, 2)}])
    assert fresh == [{"ids": [1, 2]}]
    assert Journal(tmp_path / "j").run("a", Never()) == fresh


@pytest.mark.parametrize("asked", [["batch", 9], ["batch", "0"], [["batch", 0]], {"batch": 0}])
def test_another_question_is_another_batch(tmp_path: Path, asked: Any) -> None:
    assert filled(tmp_path / "j").run(asked, lambda: ["new"]) == ["new"]


@pytest.mark.parametrize("torn", [1, 7, 30])
def test_a_torn_last_line_is_dropped_and_computed_again(tmp_path: Path, torn: int) -> None:
    path = tmp_path / "j"
    filled(path)
    data = path.read_bytes()
    last = data.rindex(b"\n", 0, -1) + 1
    path.write_bytes(data[: last + torn])
    journal = Journal(path)
    assert path.read_bytes() == data[:last]
    assert len(journal.batches) == 2
    assert journal.run(["batch", 2], lambda: [*ROWS, 2]) == [*ROWS, 2]
    assert path.read_bytes() == data


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"ids":[1,2]', b'"ids":[1,3]'),  # a bit, and still JSON
        (b'{"key"', b'{"kex"'),
        (b'"sha256":"', b'"sha256":"0'),
        (b"}\n", b"\n"),
        (b'"rows"', b'"\xff"'),
    ],
)
@pytest.mark.parametrize("line", [0, 1, 2])
def test_a_line_that_is_not_as_it_was_written_is_computed_again(
    tmp_path: Path, line: int, old: bytes, new: bytes
) -> None:
    path = tmp_path / "j"
    filled(path)
    lines = path.read_bytes().splitlines(keepends=True)
    assert old in lines[line]
    path.write_bytes(b"".join([*lines[:line], lines[line].replace(old, new), *lines[line + 1 :]]))
    journal = Journal(path)
    assert len(journal.batches) == 2
    assert journal.run(["batch", line], lambda: [*ROWS, line]) == [*ROWS, line]
    assert len(Journal(path).batches) == 3


def test_a_line_without_its_line_feed_is_torn(tmp_path: Path) -> None:
    path = tmp_path / "j"
    filled(path)
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    Journal(path).run(["batch", 2], lambda: [*ROWS, 2])
    assert path.read_bytes() == data


def test_a_batch_that_fails_leaves_nothing(tmp_path: Path) -> None:
    journal = filled(tmp_path / "j")
    data = (tmp_path / "j").read_bytes()

    def fail() -> list[Any]:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        journal.run("new", fail)
    with pytest.raises(ValueError, match="JSON"):
        journal.run("new", lambda: [float("nan")])
    assert (tmp_path / "j").read_bytes() == data
    assert journal.run("new", lambda: [1]) == [1]


def test_a_full_disk_is_a_sentence_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = filled(tmp_path / "j")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(MissingPartError, match="no disk space left"):
            journal.run("new", lambda: [1])
    assert Journal(tmp_path / "j").run(["batch", 2], Never()) == [*ROWS, 2]


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MissingPartError, match="cannot write"):
        Journal(tmp_path / "file" / "work" / "j")
    with (
        pytest.raises(MissingPartError, match="cannot write"),
        sole_writer(tmp_path / "file" / "work"),
    ):
        pass


HOLD = """
import pathlib, sys
from introspect_bench.benchmark.cache import sole_writer
with sole_writer(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_process_at_a_time_writes_to_a_folder(tmp_path: Path) -> None:
    work = tmp_path / "work"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(work)],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(UsageError, match="another process is building this suite"),
            sole_writer(work),
        ):
            pass
        other.stdin.close()
        other.wait()
    with sole_writer(work):  # free again when it has ended
        pass


BUILD = """
import sys, time
from pathlib import Path
from introspect_bench.benchmark.cache import Journal
journal = Journal(Path(sys.argv[1]))
for i in range(int(sys.argv[2])):
    def compute(i=i):
        print("computing", i, flush=True)
        time.sleep(0.01)
        return [{"i": i, "text": "ō" * 3000}]
    journal.run(["batch", i], compute)
"""


def test_a_killed_process_loses_no_finished_batch(tmp_path: Path) -> None:
    path = tmp_path / "j"
    command = [sys.executable, "-c", BUILD, str(path)]
    with subprocess.Popen(
        [*command, "100000"], env=environment(), stdout=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 60
        while (not path.exists() or path.stat().st_size < 50_000) and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    finished = path.read_bytes().count(b"\n")
    assert finished > 3
    with path.open("ab") as stream:
        stream.write(b'{"key":"00')  # and as if the kill had come in the middle of a line
    done = subprocess.run(
        [*command, str(finished + 2)], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["computing", str(finished), "computing", str(finished + 1)]
    whole = tmp_path / "whole"
    subprocess.run(
        [sys.executable, "-c", BUILD, str(whole), str(finished + 2)],
        env=environment(),
        stdout=subprocess.DEVNULL,
        check=True,
    )
    assert path.read_bytes() == whole.read_bytes()
    assert [json.loads(line)["rows"][0]["i"] for line in path.read_bytes().splitlines()] == list(
        range(finished + 2)
    )
