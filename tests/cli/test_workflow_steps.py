"""The shell of the workflows, step by step as written, on scratch repositories and real entries."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from program import environment
from scratch_git import QUIET, Scratch
from tiny_entries import CONTACT, as_others

from introspect_bench.__main__ import main

GITHUB = Path(__file__).parents[2] / ".github"
STUBS = {
    # what needs a runner: everything behind `--` is run without a new user or network
    "sudo": 'while [ "$1" != "--" ]; do shift; done; shift; exec "$@"',
    "gh": "exit 0",
    "python": f'exec "{sys.executable}" "$@"',
}


def step(workflow: str, name: str) -> str:
    """The shell of one step."""
    jobs: dict[str, Any] = yaml.safe_load((GITHUB / "workflows" / workflow).read_text())["jobs"]
    (found,) = [
        one["run"] for job in jobs.values() for one in job["steps"] if one.get("name") == name
    ]
    return str(found)


@pytest.fixture
def shell(here: Path) -> Any:
    """`shell(text, folder, VARIABLE=...)`: run it as a runner does; returns the exit code."""
    tools = here / "tools"
    tools.mkdir()
    for name, text in STUBS.items():
        (tools / name).write_text(f"#!/bin/bash\n{text}\n")
        (tools / name).chmod(0o755)
    (here / "runner").mkdir()

    def run(text: str, folder: Path, **more: str) -> int:
        done = subprocess.run(
            ["bash", "-e", "-c", text],
            cwd=folder,
            env=environment(
                **QUIET,
                PATH=f"{tools}{os.pathsep}{os.environ['PATH']}",
                RUNNER_TEMP=str(here / "runner"),
                OMP_NUM_THREADS="1",
                OPENBLAS_NUM_THREADS="1",
                **more,
            ),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert "Traceback" not in done.stderr
        return done.returncode

    return run


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An entry of a shipped suite."""
    place = tmp_path_factory.mktemp("real")
    words = ("-m", "baseline/constant", "-t", "input-ablations", "--no-score")
    assert main(["run", *words, "-o", str(place)]) == 0
    run = next(place.glob("*.jsonl"))
    out = str(place / "submissions")
    said = ("--name", "acme/constant", "--contact", CONTACT, "--declare", "-o", out)
    assert main(["submit", str(run), *said]) == 0
    (folder,) = (place / "submissions" / "smollm2-135m").iterdir()
    return folder


@pytest.fixture
def server(here: Path, real: Path) -> Scratch:
    """What the server has: a main branch with one entry, and a place for pull requests."""
    other = as_others(real, "globex", here / "other" / real.parent.name)
    (here / "o").mkdir()
    return Scratch(here / "o" / "r", other)


def checked_out(server: Scratch, here: Path) -> Path:
    """The base, checked out as the first step does, with the scripts of this repository."""
    folder = here / "checkout"
    server.git("clone", "--quiet", "--depth=1", f"file://{server.root}", str(folder))
    shutil.copytree(GITHUB / "scripts", folder / ".github" / "scripts")
    return folder


def open_pull_request(server: Scratch, head: str) -> None:
    """Merge a branch into main as the server would, under the pull request's name only."""
    tree = server.git("merge-tree", "--write-tree", server.base, head)
    parents = ("-p", server.base, "-p", head)
    merge = server.git("commit-tree", tree, *parents, "-m", "merge")
    server.git("update-ref", "refs/pull/7/merge", merge)


@pytest.mark.parametrize("good", [True, False])
def test_the_steps_of_the_check(
    server: Scratch, here: Path, shell: Any, real: Path, good: bool
) -> None:
    def change(root: Path) -> None:
        shutil.copytree(real, root / "submissions" / real.parent.name / real.name)
        if not good:
            (root / "benchmark" / "scoring.py").write_text("wrong\n")

    open_pull_request(server, server.pull_request(change))
    folder = checked_out(server, here)
    before = {path for path in folder.rglob("*") if ".git" not in path.parts}
    assert shell(step("submission.yml", "Fetch the merge as objects"), folder, NUMBER="7") == 0
    code = shell(
        step("submission.yml", "Validate and score, without a network"), folder, AUTHOR="acme"
    )
    report = json.loads((here / "runner" / "report.json").read_text())
    assert code == report["exit_code"] == (0 if good else 1)
    assert report["lane"] == ("automatic" if good else "manual")
    assert {path for path in folder.rglob("*") if ".git" not in path.parts} == before
    if good:
        assert report["entry"]["scores"][0]["task"] == "input-ablations"
        (label,) = report["labels"]  # the entry that is there says the same
        assert label["kind"] == "copy"


def test_the_steps_of_the_board(server: Scratch, here: Path, shell: Any) -> None:
    folder = checked_out(server, here)
    names = {"GITHUB_SERVER_URL": f"file://{here}", "GITHUB_REPOSITORY": "o/r", "GITHUB_SHA": "ab"}
    fetch, publish = step("board.yml", "Fetch the last board"), step("board.yml", "Publish")
    rescore = step("board.yml", "Score all entries again")
    for number in range(2):
        assert shell(fetch, folder) == 0
        assert (folder / "old" / "scores.json").exists() == bool(number)
        assert shell(rescore, folder) == 0
        assert (folder / "new-entries.txt").read_text() == ""  # nothing judged
        (folder / "new" / "docs").mkdir(exist_ok=True)
        (folder / "new" / "docs" / "index.html").write_text(f"{number}\n")
        (folder / "work").mkdir(exist_ok=True)
        shutil.rmtree(folder / "work" / "board", ignore_errors=True)
        shutil.copytree(folder / "new", folder / "work" / "new", dirs_exist_ok=True)
        assert shell(publish, folder / "work", **names) == 0
        assert server.git("show", "board:docs/index.html") == str(number)
    assert server.git("rev-list", "--count", "board") == "2"
    scores = json.loads(server.git("show", "board:scores.json"))
    assert scores["entries"][0]["scores"][0]["metrics"]["exact_match_changed"]["value"] >= 0
    scores["entries"][0]["scores"][0]["metrics"]["exact_match_changed"]["value"] = 0.999
    (folder / "old" / "scores.json").write_text(json.dumps(scores))
    assert shell(rescore, folder) == 1
