"""The example of a package that brings a task, an explainer, a target and a judge, installed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from program import PACKAGES, Ended, python, refused, started, succeeded
from tiny_features import make_feature_suite
from tiny_suites import make_suite_folder

from introspect_bench.benchmark import registry
from introspect_bench.benchmark.errors import UsageError

EXAMPLE = Path(__file__).parents[1] / "data" / "plugin"
FREEZE = """
import sys
from pathlib import Path
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.suite.freeze import Measured, write_manifest, write_split
from introspect_bench.benchmark.records import Answer
sys.path.insert(0, {helpers!r})
import tiny_suites
tiny_suites.FIELDS["acme-heads"] = lambda split, group, member: {{
    "kind": "head",
    "fields": {{"text": f"{{split}} {{group}} {{member}}", "head": member, "relation": "head"}},
}}
tiny_suites.make_suite(Path("suite/acme-heads/v1"), get_task("acme-heads"))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is on the path, with the example installed by pip."""
    folder = tmp_path_factory.mktemp("plugin")
    source = Path(shutil.copytree(EXAMPLE, folder / "source"))
    options = ("--no-deps", "--no-build-isolation", "--quiet", "--target", str(folder / "site"))
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, str(source)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


def there(place: Path, *words: str, **more: str) -> Ended:
    """Run the program where the example is installed."""
    done = started(*words, cwd=place, PYTHONPATH=path_with(place), **more)
    return done.returncode, done.stdout, done.stderr


def path_with(place: Path) -> str:
    return f"{PACKAGES}:{place / 'site'}"


def test_its_explainer_answers_by_name(place: Path) -> None:
    make_suite_folder(place / "toy")
    words = ("run", "--model", "py:acme-says", "--explainer-args", "say=changed: B")
    succeeded(there(place, *words, "--suite", "toy"))
    [path] = (place / "runs").glob("*activation-patching*.jsonl")
    header, row, *_ = map(json.loads, path.read_text().splitlines())
    assert header["explainer"]["name"] == "py:acme-says"
    assert header["access"] == "undeclared"
    assert row["raw"] == "changed: B"
    sentence = refused(there(place, "run", "-m", "py:acme-sais"), 2)
    assert "expected py:module:Class, or py:NAME of acme-says" in sentence


def test_its_task_is_listed_and_answered(place: Path) -> None:
    assert "acme-heads" in succeeded(there(place, "ls", "tasks"))
    code = FREEZE.format(helpers=str(Path(__file__).parents[1] / "helpers"))
    made = python("-c", code, cwd=place, PYTHONPATH=path_with(place))
    assert made.returncode == 0, made.stderr
    words = ("run", "--model", "py:acme-says", "--suite", "suite", "-o", "heads")
    assert "acme-heads v1" in succeeded(there(place, *words))


def test_its_judge_judges_and_its_target_is_known(place: Path) -> None:
    make_feature_suite(place / "features" / "feature-descriptions" / "v2")
    words = ("run", "--model", "py:acme-says", "--explainer-args", "say=a cat", "--no-judge")
    more = ("--no-score", "--suite", "features", "-o", "described")
    succeeded(there(place, *words, *more))
    judge = ("judge", "described", "--suite", "features", "--judge", "acme-judge")
    succeeded(there(place, *judge))
    [path] = (place / "described").glob("*.jsonl")
    assert path.read_text().count('"judge":"acme/letters@000000000001"') == 9
    ended = there(place, "doctor", "--target", "acme-tiny", HF_HUB_OFFLINE="1")
    assert "acme/tiny" in refused(ended, 3)


class Point:
    """An entry point whose package is broken, or brings what is there already."""

    name, value, dist = "acme", "acme:Thing", None

    def load(self) -> object:
        raise ImportError("no module named acme")


def test_a_broken_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "entry_points", lambda group: [Point()])  # noqa: ARG005
    registry.installed.cache_clear()
    try:
        with pytest.raises(UsageError, match="acme:Thing cannot be loaded: ImportError"):
            registry.installed("targets")
    finally:
        registry.installed.cache_clear()


def test_a_second_task_of_a_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    own = registry.tasks()
    monkeypatch.setattr(registry, "installed", lambda kind: {"again": own[0]})  # noqa: ARG005
    with pytest.raises(UsageError, match="which there is already"):
        registry.tasks()
