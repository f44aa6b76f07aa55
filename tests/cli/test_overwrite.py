"""`--overwrite` starts anew, and only after a question."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from program import ABLATIONS, CONSTANT, Call, one_run, refused, succeeded, the_sentence

import introspect_bench as ib

WORDS = (*CONSTANT, "--suite", "toy", "-t", ABLATIONS)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_nobody_to_ask_is_an_error_and_the_run_stays(call: Call) -> None:
    run = one_run(call)
    before = run.read_bytes()
    code, out, err = call(*WORDS, "--overwrite")
    assert (code, out) == (2, "")
    assert "--yes" in the_sentence(err)
    assert str(run) in err
    assert run.read_bytes() == before


@pytest.mark.parametrize(("answer", "anew"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_the_question_decides(
    call: Call, monkeypatch: pytest.MonkeyPatch, answer: str, anew: bool
) -> None:
    run = one_run(call)
    before = run.read_bytes()
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    code, _, err = call(*WORDS, "--overwrite")
    assert code == (0 if anew else 2), err
    assert f"replace {run}?" in err
    assert (run.read_bytes() != before) is anew


def test_yes_asks_all_queries_again_and_replaces_another_run(call: Call) -> None:
    """What is there may be another run, or no run file at all."""
    run = one_run(call, "--limit", "2")
    assert call(*WORDS)[0] == 4
    for there in (run.read_bytes(), b"not a run file\n"):
        run.write_bytes(there)
        out = succeeded(call(*WORDS, "--overwrite", "--yes", "--json"))
        (made,) = json.loads(out)["runs"]
        assert made["asked"] == made["rows"] == 15


def test_nothing_there_is_no_question(call: Call) -> None:
    assert call(*WORDS, "--overwrite")[0] == 0
    code, out, _ = call(*WORDS, "--overwrite", "--dry-run")
    assert (code, "15" in out) == (0, True)


def test_a_refused_run_replaces_nothing(call: Call) -> None:
    run = one_run(call)
    before = run.read_bytes()
    assert call(*WORDS, "--overwrite", "--yes", "--thinking")[0] == 2
    assert run.read_bytes() == before


def test_python_says_it_too(call: Call) -> None:
    run = one_run(call)
    (made,) = ib.run("baseline/constant", suite="toy", tasks=[ABLATIONS], resume="overwrite")
    assert (made.path, made.asked) == (run, 15)


def test_a_killed_new_start_goes_on_with_the_plain_command(call: Call) -> None:
    run = one_run(call)
    assert call(*WORDS, "--overwrite", "--yes", "--limit", "3")[0] == 0
    lines = run.read_bytes().splitlines(keepends=True)
    run.write_bytes(b"".join(lines[:2]))
    succeeded(call(*WORDS, "--limit", "3"))
    assert len(ib.load(run).rows) == 3


def test_train_asks_before_anything_is_loaded(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "training.json").write_text("{}")
    words = ("train", "--base", "./nowhere", "--suite", "toy", "-o", str(folder), "--overwrite")
    assert "--yes" in refused(call(*words), 2)
    assert "nowhere" in refused(call(*words, "--yes"), 3)
    assert (folder / "training.json").is_file()
