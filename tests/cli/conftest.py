"""A folder with toy suites, and the program called in this process."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from program import Call
from tiny_entries import make_entry
from tiny_suites import make_suite_folder

from introspect_bench.__main__ import main


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_suite_folder(tmp_path_factory.mktemp("suites") / "toy")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Path) -> Path:
    """An empty folder to work in, with the suites beside it as `toy`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])  # `run` adds the folder
    shutil.copytree(made, tmp_path / "toy")
    return tmp_path


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Call:
    """`call(words...)` in this process: exit code, stdout, stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main(words)
        out, err = capfd.readouterr()
        return code, out, err

    return run


@pytest.fixture(scope="session")
def submitted(tmp_path_factory: pytest.TempPathFactory, made: Path) -> Path:
    """Two baselines and an oracle, submitted on the toy suite."""
    place = tmp_path_factory.mktemp("submitted")
    for name in ("constant", "nearest-neighbour", "unchanged"):
        words = ("-m", f"baseline/{name}", "--no-score", "--suite", str(made))
        assert main(["run", *words, "-o", str(place / name)]) == 0
        runs = sorted((place / name).glob("*.test.jsonl"))
        make_entry(runs, place / "submissions", made, name=f"acme/{name}")
    return place / "submissions"


@pytest.fixture
def cache(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own."""
    monkeypatch.setenv("INTROSPECT_BENCH_CACHE", str(here / "cache"))
    return here / "cache" / "board"


@pytest.fixture
def submissions(submitted: Path, here: Path, cache: Path) -> Path:
    """A copy that a test may change, in the folder it works in."""
    assert not cache.exists()
    return Path(shutil.copytree(submitted, here / "submissions"))
