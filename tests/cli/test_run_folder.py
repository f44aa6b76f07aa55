"""The folder that `run -o` wrote, given as a run file; what a user takes into Python."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from program import ABLATIONS, PATCHING, Call, refused, succeeded
from tiny_entries import CONTACT
from tiny_features import NAME

import introspect_bench as ib
from introspect_bench.benchmark.errors import MissingPartError
from introspect_bench.benchmark.suite.select import find_suite
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


KEYS = ["explainer", "task", "split"]


@pytest.mark.parametrize("split", ["train", "mini", "test"])
def test_a_split_is_three_lists_in_one_order(split: str) -> None:
    data = ib.data_split(PATCHING, split, suite="toy")
    assert data.vectors is not None
    assert len(data.queries) == len(data.vectors) == len(data.answers) > 0
    suite = find_suite("toy", PATCHING)
    truth, vectors = suite.truth(split), suite.vectors(split)
    for query, vector, answer in zip(data.queries, data.vectors, data.answers, strict=True):
        assert query.vector is not None
        assert np.array_equal(vector, vectors[query.vector])
        assert answer == truth[query.id].answer
    assert ib.data_split(ABLATIONS, split, suite=Path("toy")).vectors is None


def test_scores_and_runs_become_tables_that_can_be_put_together() -> None:
    pandas = pytest.importorskip("pandas")
    for name in ("constant", "unchanged"):
        ib.run(f"baseline/{name}", suite="toy", output="runs")
    scores = ib.to_pandas(ib.score_all("runs", suite="toy"))
    overall = scores[(scores.part == "overall") & (scores.metric == "verdict_accuracy")]
    assert len(overall) == 4
    one = ib.score(next(Path("runs").glob(f"*constant*{ABLATIONS}*.jsonl")), suite="toy")
    found = overall[(overall.task == ABLATIONS) & (overall.explainer == "baseline/constant")]
    assert found.value.item() == one["overall"]["metrics"]["verdict_accuracy"]["value"]
    assert [found.low.item(), found.high.item()] == one["overall"]["metrics"]["verdict_accuracy"][
        "interval_95"
    ]
    replies, rows = ib.to_pandas("runs"), ib.to_pandas(ib.show("runs", suite="toy"))
    assert len(replies) == len(rows) == 2 * (12 + 15)
    for table in (scores, replies, rows):
        assert isinstance(table, pandas.DataFrame)
        assert list(table.columns[:3]) == KEYS
        assert not table[KEYS].isna().any(axis=None)
    means = rows.groupby(KEYS).exact.mean()
    assert means["baseline/constant", ABLATIONS, "test"] >= 0
    assert len(ib.to_pandas(ib.load(next(Path("runs").glob(f"*constant*{PATCHING}*.jsonl"))))) == 12


def test_without_pandas_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingPartError, match="needs pandas; pip install pandas"):
        ib.to_pandas([])
