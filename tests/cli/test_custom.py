"""The user's own explainer as a class of the current folder."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from program import (
    ABLATIONS,
    Call,
    the_sentence,
)

import introspect_bench as ib

CUSTOM = """
class Mine:
    def __init__(self, reply="changed: X", die_after=None):
        self.reply, self.die_after, self.calls = reply, die_after, 0

    def complete(self, prompts):
        self.calls += 1
        if self.die_after is not None and self.calls > self.die_after:
            raise KeyboardInterrupt
        return [self.reply for _ in prompts]


class Narrow(Mine):
    def check_width(self, d_target):
        from introspect_bench.benchmark.errors import UsageError

        raise UsageError(f"width {d_target} is not for me")


class Mute:
    pass
"""


def custom(name: str) -> tuple[str, ...]:
    """`run` with a class of a module that no other test has imported."""
    module = f"mine_{time.monotonic_ns()}"
    Path(f"{module}.py").write_text(CUSTOM)
    return ("run", "--suite", "toy", "-t", ABLATIONS, "--model", f"py:{module}:{name}")


def test_a_class_of_the_current_folder_answers(call: Call) -> None:
    code, out, _ = call(*custom("Mine"), "--explainer-args", "reply=unchanged: Lima", "--json")
    assert code == 0
    run = ib.load(json.loads(out)["runs"][0]["path"])
    assert {row["raw"] for row in run.rows.values()} == {"unchanged: Lima"}
    assert run.header["explainer"]["kind"] == "custom"
    assert run.header["explainer"]["settings"]["reply"] == "unchanged: Lima"


@pytest.mark.parametrize(
    ("name", "more", "words"),
    [
        ("Nobody", (), "has no class Nobody"),
        ("Mute", (), "no method complete"),
        ("Mine", ("--explainer-args", "colour=3"), "unexpected keyword argument 'colour'"),
        ("Mine", ("--explainer-args", "reply"), "expected key=value"),
        ("Mine", ("--explainer-args", "reply=1"), "returned a int as a reply"),
    ],
)
def test_a_class_that_does_not_fit_is_said_to(
    call: Call, name: str, more: tuple[str, ...], words: str
) -> None:
    code, _, err = call(*custom(name), *more)
    assert code == 2
    assert words in the_sentence(err)


def test_a_module_that_is_not_there_is_named(call: Call) -> None:
    code, _, err = call("run", "--suite", "toy", "-m", "py:no_such_module:Mine")
    assert code == 2
    assert "no_such_module" in the_sentence(err)


def test_a_width_that_does_not_fit_refuses_vector_tasks_only(call: Call) -> None:
    words = [word for word in custom("Narrow") if word not in ("-t", ABLATIONS)]
    code, _, err = call(*words)
    assert code == 2
    assert "width 4 is not for me" in the_sentence(err)
    assert [ABLATIONS in path.name for path in Path("runs").glob("*.jsonl")] == [True]
    assert call(*words, "--no-vector")[0] == 0
    assert len(list(Path("runs").glob("*.no-vector.*.jsonl"))) == 2


def test_interrupted_is_130_and_the_file_is_completed_by_the_same_command(call: Call) -> None:
    words = (*custom("Mine"), "--batch-size", "4")
    code, _, err = call(*words, "--explainer-args", "die_after=1")
    assert code == 130
    assert "interrupted" in the_sentence(err)
    (path,) = Path("runs").glob("*.jsonl")
    assert call("validate", str(path))[0] == 0
    n_rows = len(ib.load(path).rows)
    assert 0 < n_rows < 12
    code, _, err = call("score", str(path), "--suite", "toy", "--check")
    assert code == 5
    assert f"{12 - n_rows} of 12 queries have no row" in the_sentence(err)


def test_model_text_cannot_steer_the_terminal(call: Call) -> None:
    evil = 'reply="changed: \\u001b[31mX\\u0007\\u009b2J\\u202e"'
    assert call(*custom("Mine"), "--explainer-args", evil)[0] == 0
    (path,) = Path("runs").glob("*.jsonl")
    first = ib.show(str(path), suite="toy")[0]
    assert "\x1b[31mX\x07\x9b2J\u202e" in first["raw"]
    for words in ((str(path),), (f"{path}:{first['id']}",), (str(path), "--json")):
        out = call("show", *words, "--suite", "toy")[1]
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", out)
        assert "31mX" in out
