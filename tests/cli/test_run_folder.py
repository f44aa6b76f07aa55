"""The folder that `run -o` wrote, wherever a run file may be given; paths may be text."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from program import ABLATIONS, PATCHING, Call, the_sentence
from tiny_entries import CONTACT
from tiny_features import NAME, judges, make_feature_suite

import introspect_bench as ib
from introspect_bench.leaderboard.submissions.submit import Statement
from introspect_bench.tasks.feature_descriptions.judge import judges as module


@pytest.fixture
def runs(call: Call) -> str:
    for name in ("constant", "unchanged"):
        words = ("-m", f"baseline/{name}", "--suite", "toy", "--no-score", "-o", f"out/{name}")
        code, _, err = call("run", *words)
        assert code == 0, err
    return "out/constant"


def test_every_verb_about_runs_takes_their_folder(call: Call, runs: str) -> None:
    code, out, err = call("score", runs, "--suite", "toy", "--check", "--json")
    assert [one["task"] for one in json.loads(out)["results"]] == [PATCHING, ABLATIONS], err
    code, out, err = call("show", runs, "--suite", "toy")
    assert code == 0, err
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
    code, out, err = call("submit", runs, *words, "--json")
    assert code == 0, err
    kept = sorted(path.name for path in Path(json.loads(out)["folder"]).glob("*.jsonl"))
    assert kept == [f"{PATCHING}.jsonl", f"{ABLATIONS}.jsonl"]


def test_runs_in_two_folders_are_compared(call: Call, runs: str) -> None:
    code, out, err = call("compare", runs, "out/unchanged", "--suite", "toy", "--json")
    assert code == 0, err
    assert [len(task["pairs"]) for task in json.loads(out)["tasks"]] == [1, 1]


def test_where_one_run_is_meant_a_folder_of_two_is_refused(call: Call, runs: str) -> None:
    code, _, err = call("export", runs, "--to", "csv", "--suite", "toy")
    assert code == 2
    assert "out/constant holds 2 run files; give one, such as out/constant/" in the_sentence(err)
    Path("empty").mkdir()
    code, _, err = call("score", "empty")
    assert code == 2
    assert "cannot read empty: the folder holds no run file" in the_sentence(err)


def test_judging_a_folder_passes_over_other_tasks(
    call: Call, runs: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "open_judges", lambda *_words, **_more: judges()[:1])
    make_feature_suite(here / "words" / NAME / "v2")
    words = ("-m", "baseline/nearest-neighbour", "--suite", "words", "-t", NAME, "--no-judge")
    assert call("run", *words, "-o", "mixed")[0] == 0
    shutil.copytree("toy", "words", dirs_exist_ok=True)
    for path in Path(runs).iterdir():
        path.rename(Path("mixed") / path.name)
    code, out, err = call("judge", "mixed", "--suite", "words")
    assert (code, out) == (0, "mixed: 9 judgements appended\n"), err
    code, _, err = call("judge", "out/unchanged", "--suite", "toy")
    assert code == 2
    assert "no run in this folder holds descriptions" in the_sentence(err)


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
