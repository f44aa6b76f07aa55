"""Options from a file: the same run as from the command line, and files that are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from program import ABLATIONS, Call, one_run, refused, succeeded

WORDS = ("run", "--config", "run.yaml", "--json")
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
    out = succeeded(call(*WORDS))
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
    out = succeeded(call(*WORDS, "--limit", "2", "--output", "here"))
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
    assert sentence in refused(call(*WORDS), 2, out="")


def test_training_reads_one_too(call: Call) -> None:
    Path("train.yaml").write_text("recipe: smollm2-self\nrank: 4\noutput: out\n", encoding="utf-8")
    assert "a recipe says rank itself" in refused(call("train", "--config", "train.yaml"), 2)
