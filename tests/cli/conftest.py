"""A folder with toy suites, and the program called in this process."""

from __future__ import annotations

import functools
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from program import ABLATIONS, Call
from tiny_entries import make_entry
from tiny_features import NAME, make_feature_suite, open_judges
from tiny_suites import make_suite_folder

from introspect_bench.__main__ import main
from introspect_bench.benchmark.runs import provenance
from introspect_bench.tasks.feature_descriptions.judge import judges


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_suite_folder(tmp_path_factory.mktemp("suites") / "toy")


@pytest.fixture(scope="module", autouse=True)
def _clean_checkout() -> Iterator[None]:
    """Runs are made as by a checkout without changes; git, which takes long, is asked once."""
    found = _package()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(provenance, "package", lambda: found)
        yield


@functools.cache
def _package() -> dict[str, Any]:
    return provenance.package() | {"dirty": False}


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


@pytest.fixture
def words(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A suite of features as `words`, and its judges, which are no language models."""
    monkeypatch.setattr(judges, "open_judges", open_judges)
    make_feature_suite(here / "words" / NAME / "v2")
    return here / "words"


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory, made: Path) -> Path:
    """The folder of an entry with one run."""
    place = tmp_path_factory.mktemp("sound")
    words = ("-m", "baseline/constant", "-t", ABLATIONS, "--no-score")
    assert main(["run", *words, "--suite", str(made), "-o", str(place / "runs")]) == 0
    (run,) = (place / "runs").glob("*.jsonl")
    return make_entry([run], place / "submissions", made)


@pytest.fixture
def entry(sound: Path, here: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(sound, here / "submissions" / "toy" / sound.name))


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
