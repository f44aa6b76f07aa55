"""From a target to a folder of weights: once, checked, resumable."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from tiny_wheels import MEMBER, REQUIREMENT, SHA256, isolate, left_in_cache, make_wheel

from introspect_bench.benchmark.backends.models.pretrained import load_model
from introspect_bench.benchmark.errors import IntegrityError, MissingPartError
from introspect_bench.benchmark.files import sha256_bytes
from introspect_bench.benchmark.models import fetch
from introspect_bench.benchmark.models.targets import (
    TargetSpec,
    local_target,
    target_record,
    weight_files,
)

TENSORS = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.ones(2, np.float32)}


@pytest.fixture(autouse=True)
def _own_cache_and_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return make_wheel(tmp_path / "index")


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
    from introspect_bench.benchmark.backends.models import pretrained as convert

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
    assert target_record(folder)["source"] == {MEMBER: SHA256}
    assert fetch.prepare_target(spec) == folder
    assert len(conversions) == 1


def test_a_file_in_parts_is_put_together(
    spec: TargetSpec, conversions: list[Path], tmp_path: Path
) -> None:
    parts = {"toy_one": b"one, ", "toy_two": b"two"}
    for package, data in parts.items():
        make_wheel(tmp_path / "index", data, package)
    cut = replace(
        spec,
        location="toy-one==1.0 toy-two==1.0",
        files={f"{name}/toy.gguf": sha256_bytes(data) for name, data in parts.items()},
    )
    folder = fetch.prepare_target(cut)
    assert conversions[0].read_bytes() == b"one, two"
    assert left_in_cache().count(conversions[0].name) == 1
    assert [name for name in left_in_cache() if name.endswith(".gguf")] == [conversions[0].name]
    shutil.rmtree(folder)
    shutil.rmtree(tmp_path / "index")  # a conversion that was cut off needs no second download
    fetch.prepare_target(cut)
    assert len(conversions) == 2
    wrong = replace(cut, name="other", files={**cut.files, "toy_two/toy.gguf": "0" * 64})
    for package, data in parts.items():
        make_wheel(tmp_path / "index", data, package)
    with pytest.raises(IntegrityError, match="expected 0000"):
        fetch.prepare_target(wrong)
    assert not fetch.prepared_dir(wrong).exists()


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


def flip_a_bit(path: Path) -> tuple[int, int]:
    """Change a file's last byte and return the times that it had."""
    data, times = bytearray(path.read_bytes()), path.stat()
    data[-1] ^= 1
    path.write_bytes(data)
    return times.st_atime_ns, times.st_mtime_ns


@pytest.mark.usefixtures("wheel", "conversions")
def test_changed_weights_are_found(spec: TargetSpec) -> None:
    weights = fetch.prepare_target(spec) / "model.safetensors"
    times = flip_a_bit(weights)
    with pytest.raises(IntegrityError, match=r"model\.safetensors has sha256 .* expected"):
        fetch.prepare_target(spec)
    # one flipped bit behind an unchanged size and time is found when asked for
    os.utime(weights, ns=times)
    fetch.prepare_target(spec)
    with pytest.raises(IntegrityError, match=r"model\.safetensors has sha256 .* expected"):
        fetch.prepare_target(spec, verify=True)


@pytest.mark.usefixtures("wheel", "conversions")
@pytest.mark.parametrize("known", [True, False])
def test_weights_of_the_same_size_and_time_are_compared_when_loaded(
    spec: TargetSpec, known: bool
) -> None:
    folder = fetch.prepare_target(spec)
    weights = folder / "model.safetensors"
    os.utime(weights, ns=flip_a_bit(weights))
    hashes = weight_files(folder) if known else None
    with pytest.raises(IntegrityError, match=r"safetensors has sha256 .* expected .* remove"):
        load_model(fetch.prepare_target(spec), torch.float32, hashes)


@pytest.mark.usefixtures("wheel", "conversions")
def test_a_touched_file_is_hashed_and_accepted(spec: TargetSpec) -> None:
    weights = fetch.prepare_target(spec) / "model.safetensors"
    os.utime(weights, ns=(1, 1))
    assert fetch.prepare_target(spec) == weights.parent


@pytest.mark.usefixtures("wheel")
def test_a_killed_conversion_is_repeated_without_a_download(
    spec: TargetSpec, conversions: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from introspect_bench.benchmark.backends.models import pretrained as convert

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
