"""The user's own explainer as a class of the current folder."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from program import ABLATIONS, PATCHING, Call, refused, succeeded, the_sentence

import introspect_bench as ib
from introspect_bench.benchmark.evaluation.explainers import parse_arguments
from introspect_bench.benchmark.evaluation.run import RefusedTasksError

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


def test_a_value_that_cannot_be_read_is_text() -> None:
    values = {"digits": "9" * 5_000, "brackets": "[" * 100_000}
    assert parse_arguments([f"{key}={value}" for key, value in values.items()]) == values


def test_a_class_of_the_current_folder_answers(call: Call) -> None:
    out = succeeded(call(*custom("Mine"), "--explainer-args", "reply=unchanged: Lima", "--json"))
    run = ib.load(json.loads(out)["runs"][0]["path"])
    assert {row["raw"] for row in run.rows.values()} == {"unchanged: Lima"}
    assert run.header.explainer.kind == "custom"
    assert run.header.explainer.settings["reply"] == "unchanged: Lima"


def test_who_writes_another_form_is_shown_one_reply_and_the_form(call: Call) -> None:
    words = (*custom("Mine"), "--explainer-args", "reply=\x1bit is Lima")
    code, out, err = call(*words, "--json")
    assert code == 0
    found = json.loads(out)
    result = found["results"][0]
    n = result["counts"]["queries"]
    assert result["unread"]["reply"] == "\x1bit is Lima"
    said = (
        f"{ABLATIONS}: {n} of {n} replies hold no answer that can be read; query "
        f"{result['unread']['id']} got "
        '"\\u001bit is Lima", expected one line, '
        "`unchanged: X` or `changed: Y`, or `part: X` where a part is asked for\n"
    )
    assert said in err
    assert call("score", found["runs"][0]["path"], "--suite", "toy")[2] == said


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
    assert words in refused(call(*custom(name), *more), 2)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def (:", "SyntaxError: invalid syntax"),
        ("x = 1\n\ny = x / 0\n", "ZeroDivisionError: division by zero (MODULE.py, line 3)"),
        ("import no_such_module_either", "No module named 'no_such_module_either'"),
        ("raise SystemExit('bye')", "SystemExit: bye (MODULE.py, line 1)"),
        ("x = '\0'", "cannot import MODULE: SyntaxError"),
    ],
)
def test_a_module_that_cannot_be_imported_is_said_to(call: Call, source: str, words: str) -> None:
    module = f"mine_{time.monotonic_ns()}"
    Path(f"{module}.py").write_text(source)
    assert words.replace("MODULE", module) in refused(
        call("run", "--suite", "toy", "-m", f"py:{module}:Mine"), 2, out=""
    )
    assert not Path("runs").exists()


def test_a_type_that_is_no_explainer_is_said_to_be_none(call: Call) -> None:
    for name in ("int", "list", "print", "len"):
        assert f"py:builtins:{name}: " in refused(
            call("run", "--suite", "toy", "-m", f"py:builtins:{name}"), 2
        )


@pytest.mark.parametrize("value", ["9" * 20, "NaN", "1e999", "[[1, -Infinity]]"])
def test_an_argument_that_no_run_file_can_hold_leaves_none(call: Call, value: str) -> None:
    words = custom("Mine")
    assert "the run's settings" in refused(
        call(*words, "--explainer-args", f"die_after={value}"), 2
    )
    assert not list(Path().glob("runs/*"))
    assert call(*words)[0] == 0


def test_a_width_that_does_not_fit_refuses_vector_tasks_only(call: Call) -> None:
    words = [word for word in custom("Narrow") if word not in ("-t", ABLATIONS)]
    code, out, err = call(*words)
    assert code == 2
    assert "activation-patching: width 4 is not for me" in the_sentence(err)
    (path,) = Path("runs").glob("*.jsonl")
    assert ABLATIONS in path.name
    # what was answered is scored and named as ever
    assert "toy · input-ablations v2 · test" in out
    assert f"{path}: 15 queries answered" in out
    code, out, err = call(*words, "--json")
    assert code == 2
    document = json.loads(out)
    assert [run["path"] for run in document["runs"]] == [str(path)]
    assert [result["task"] for result in document["results"]] == [ABLATIONS]
    assert "width 4" in the_sentence(err)
    assert call(*words, "--no-vector")[0] == 0
    assert len(list(Path("runs").glob("*.no-vector.*.jsonl"))) == 2


def test_where_every_task_is_refused_nothing_is_printed(call: Call) -> None:
    words = [word if word != ABLATIONS else PATCHING for word in custom("Narrow")]
    assert "width 4" in refused(call(*words, "--json"), 2, out="")


def test_python_gets_the_runs_that_ended(call: Call) -> None:
    model = custom("Narrow")[-1]
    with pytest.raises(RefusedTasksError, match="width 4 is not for me") as caught:
        ib.run(model, suite="toy")
    assert [run.header.task.id for run in caught.value.runs] == [ABLATIONS]
    assert caught.value.runs[0].complete
    assert call("validate", str(caught.value.runs[0].path))[0] == 0


def test_interrupted_is_130_and_the_file_is_completed_by_the_same_command(call: Call) -> None:
    words = (*custom("Mine"), "--batch-size", "4")
    sentence = refused(call(*words, "--explainer-args", "die_after=1"), 130)
    assert sentence.endswith("interrupted; the same command goes on where it was")
    (path,) = Path("runs").glob("*.jsonl")
    assert call("validate", str(path))[0] == 0
    n_rows = len(ib.load(path).rows)
    assert 0 < n_rows < 15
    assert f"{15 - n_rows} of 15 queries have no row" in refused(
        call("score", str(path), "--suite", "toy", "--check"), 5
    )


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
