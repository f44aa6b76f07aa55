"""The folder that `run -o` wrote, wherever a run file may be given; paths may be text."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from program import ABLATIONS, PATCHING, Call, refused, succeeded
from tiny_entries import CONTACT
from tiny_features import NAME

import introspect_bench as ib
from introspect_bench.leaderboard.submissions.submit import Statement


@pytest.fixture
def runs(call: Call) -> str:
    for name in ("constant", "unchanged"):
        words = ("-m", f"baseline/{name}", "--suite", "toy", "--no-score", "-o", f"out/{name}")
        succeeded(call("run", *words))
    return "out/constant"


def test_every_verb_about_runs_takes_their_folder(call: Call, runs: str) -> None:
    code, out, err = call("score", runs, "--suite", "toy", "--check", "--json")
    assert [one["task"] for one in json.loads(out)["results"]] == [PATCHING, ABLATIONS], err
    out = succeeded(call("show", runs, "--suite", "toy"))
    assert f"baseline/constant · {PATCHING} · test\nid" in out
    assert f"baseline/constant · {ABLATIONS} · test\nid" in out
    shown = ib.show(runs, suite="toy")
    assert {(row["explainer"], row["task"], row["split"]) for row in shown} == {
        ("baseline/constant", task, "test") for task in (PATCHING, ABLATIONS)
    }
    assert call("show", f"{runs}:{shown[-1]['id']}", "--suite", "toy")[0] == 0
    code, out, err = call("validate", runs, "--strict")
    assert (code, out.count("ok  ")) == (0, 2), err
    words = ("--name", "Acme/One", "--contact", CONTACT, "--declare", "--suite", "toy")
    out = succeeded(call("submit", runs, *words, "--json"))
    kept = sorted(path.name for path in Path(json.loads(out)["folder"]).glob("*.jsonl"))
    assert kept == [f"{PATCHING}.jsonl", f"{ABLATIONS}.jsonl"]


def test_runs_in_two_folders_are_compared(call: Call, runs: str) -> None:
    out = succeeded(call("compare", runs, "out/unchanged", "--suite", "toy", "--json"))
    assert [len(task["pairs"]) for task in json.loads(out)["tasks"]] == [1, 1]


def test_where_one_run_is_meant_a_folder_of_two_is_refused(call: Call, runs: str) -> None:
    assert "out/constant holds 2 run files; give one, such as out/constant/" in refused(
        call("export", runs, "--to", "csv", "--suite", "toy"), 2
    )
    Path("empty").mkdir()
    assert "cannot read empty: the folder holds no run file" in refused(call("score", "empty"), 2)


def test_judging_a_folder_passes_over_other_tasks(call: Call, runs: str, words: Path) -> None:
    asked = ("-m", "baseline/nearest-neighbour", "--suite", "words", "-t", NAME, "--no-judge")
    assert call("run", *asked, "-o", "mixed")[0] == 0
    shutil.copytree("toy", words, dirs_exist_ok=True)
    for path in Path(runs).iterdir():
        path.rename(Path("mixed") / path.name)
    code, out, err = call("judge", "mixed", "--suite", "words")
    assert (code, out) == (0, "mixed: 9 judgements appended\n"), err
    assert "no run in this folder holds descriptions" in refused(
        call("judge", "out/unchanged", "--suite", "toy"), 2
    )


def test_paths_may_be_text_from_python() -> None:
    runs = ib.run("baseline/constant", suite="toy", output="x")
    assert {run.path.parent for run in runs} == {Path("x")}
    assert len(ib.score_all("x", suite="toy")) == 2
    plans = ib.plan("baseline/constant", suite="toy", output="x")
    assert {Path(plan.path).parent for plan in plans} == {Path("x")}
    Path("notes.txt").write_text("none")
    said = Statement(name="Acme/One", contact=CONTACT, declared=True)
    made = ib.submit("x", said, notes="notes.txt", output="sent", suite="toy")
    assert made.folder.parent == Path("sent/toy")
    assert (made.folder / "NOTES.md").read_text() == "none"
    found = ib.validate_all("x", strict=True)
    assert len(found["runs"]) == 2
    held = ib.data_hold_out("toy", 4, "held", tasks=[PATCHING])
    assert Path(held[0]["path"]).is_dir()


def test_the_runs_of_a_folder_are_cited(runs: str) -> None:
    assert "introspect-bench" in ib.cite([runs])
