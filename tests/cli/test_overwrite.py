"""Options from a file, and `--overwrite`, which starts anew after a question."""

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


FROM_FILE = ("run", "--config", "run.yaml", "--json")
CONFIG = f"""
model: baseline/constant
suite: toy
task: [{ABLATIONS}]
batch_size: 4
n-train: 50%
no-score: true
output: elsewhere
"""


def test_a_file_says_what_the_command_line_may_say(call: Call) -> None:
    told = one_run(call, "--batch-size", "4", "--n-train", "50%")
    Path("run.yaml").write_text(CONFIG, encoding="utf-8")
    out = succeeded(call(*FROM_FILE))
    (run,) = json.loads(out)["runs"]
    assert Path(run["path"]).parent == Path("elsewhere")
    headers = [
        json.loads(path.read_text(encoding="utf-8").partition("\n")[0])
        for path in (told.with_name(Path(run["path"]).name), Path(run["path"]))
    ]
    for header in headers:
        del header["created"], header["run_id"]
    assert headers[0] == headers[1]


def test_the_command_line_goes_before_the_file(call: Call) -> None:
    Path("run.yaml").write_text(CONFIG, encoding="utf-8")
    out = succeeded(call(*FROM_FILE, "--limit", "2", "--output", "here"))
    (run,) = json.loads(out)["runs"]
    assert (Path(run["path"]).parent, run["rows"]) == (Path("here"), 2)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("modle: x", "there is no option modle; is model meant"),
        ("config: x", "there is no option config"),
        ("- model", "expected `option: value`"),
        ("limit: 1\nlimit: 2", "limit is said twice"),
        ("split: [test", "is not YAML"),
        ("split: [test, mini]", "split takes one value"),
        ("suite:", "suite has no value"),
        ("model: baseline/constant\nlimit: many", "'many' is not a valid integer"),
        ("model: !!python/object/apply:os.system ['true']", "is not YAML"),
        ("\x00", "is not YAML"),
    ],
)
def test_files_that_are_refused(call: Call, text: str, sentence: str) -> None:
    Path("run.yaml").write_text(text, encoding="utf-8")
    assert sentence in refused(call(*FROM_FILE), 2, out="")


def test_training_reads_one_too(call: Call) -> None:
    Path("train.yaml").write_text("recipe: smollm2-self\nrank: 4\noutput: out\n", encoding="utf-8")
    assert "a recipe says rank itself" in refused(call("train", "--config", "train.yaml"), 2)
