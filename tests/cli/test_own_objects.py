"""An explainer as a Python object; what it prints; changed code is another explainer."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from program import ABLATIONS, Call, python, refused, started, succeeded

import introspect_bench as ib
from introspect_bench.benchmark.errors import IntegrityError, UsageError

LOUD = """
import subprocess
import sys
print("imported")
class Loud:
    def complete(self, prompts):
        print("{not json")
        subprocess.run([sys.executable, "-c", "print('a process')"])
        return ["changed: X" for _ in prompts]
"""
NOTEBOOK = """
import introspect_bench as ib
class Mine:
    def complete(self, prompts):
        return ["REPLY" for _ in prompts]
for model in ("py:__main__:Mine", Mine()):
    out = "by-name" if model == "py:__main__:Mine" else "by-object"
    (run,) = ib.run(model, suite="toy", tasks=["input-ablations"], output=out)
    print(run.header.explainer.name, len(run.rows), {row["raw"] for row in run.rows.values()})
"""


class Mine:
    def __init__(self, reply: str = "changed: X", model: object = None) -> None:
        self.reply, self.model = reply, model
        self._calls = 0

    def complete(self, prompts: Any) -> list[str]:
        self._calls += 1
        return [self.reply for _ in prompts]


def asked(explainer: Any, **more: Any) -> set[str]:
    (run,) = ib.run(explainer, suite="toy", tasks=[ABLATIONS], **more)
    assert run.complete
    return {row["raw"] for row in run.rows.values()}


def test_what_user_code_prints_is_not_in_the_result(call: Call) -> None:
    Path("loud.py").write_text(LOUD)
    words = ("run", "--suite", "toy", "-t", ABLATIONS, "--model", "py:loud:Loud", "--json")
    done = started(*words, cwd=Path.cwd())
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["runs"]
    for said in ("imported", "{not json", "a process"):
        assert said in done.stderr
    Path("runs").rename("before")
    out = succeeded(call(*words))
    assert json.loads(out)["runs"]


def test_an_object_answers_under_the_name_of_its_class() -> None:
    assert asked(Mine("unchanged: Lima")) == {"unchanged: Lima"}
    (path,) = Path("runs").glob("*.jsonl")
    header = ib.load(path).header
    assert header.explainer.name == f"py:{Mine.__module__}:Mine"
    assert (header.explainer.kind, header.access) == ("custom", "undeclared")
    assert "Lima" not in json.dumps(header.explainer.settings)  # it may be a key
    assert ib.plan(Mine(), suite="toy", output="other")[1].queries == 15


def test_an_object_goes_on_with_its_own_run_only() -> None:
    mine = Mine()
    asked(mine)
    assert mine._calls > 0
    again = Mine()
    assert asked(again) == {"changed: X"}
    assert asked(mine) == {"changed: X"}
    assert again._calls == 0
    with pytest.raises(IntegrityError, match="state_sha256"):
        asked(Mine("unchanged: Lima"))


def test_two_models_that_cannot_be_hashed_are_two_explainers() -> None:
    kept = object()
    asked(Mine(model=kept))
    asked(Mine(model=kept))
    with pytest.raises(IntegrityError, match="state_sha256"):
        asked(Mine(model=object()))
    named: Any = Mine(model=object())
    named.identity = "mine, checkpoint 7"
    asked(named, output="named")
    other: Any = Mine(model=object())
    other.identity = "mine, checkpoint 7"
    asked(other, output="named")
    assert other._calls == 0
    other.identity = "mine, checkpoint 8"
    with pytest.raises(IntegrityError, match="identity"):
        asked(other, output="named")


@pytest.mark.parametrize("wrong", [Mine, 3, None, ModuleType("empty")])
def test_what_cannot_answer_is_refused(wrong: Any) -> None:
    with pytest.raises(UsageError, match=r"has no method complete\(prompts\)"):
        ib.run(wrong, suite="toy")


def test_an_object_takes_no_arguments_of_a_class() -> None:
    with pytest.raises(UsageError, match="was made already"):
        ib.run(Mine(), suite="toy", explainer_args={"reply": "x"})


@pytest.mark.parametrize("way", ["notebook", "script"])
def test_a_class_of_the_main_module_is_run_by_name_and_as_object(way: str, here: Path) -> None:
    """A notebook's main module has no file: `-c` is like it."""

    def run(reply: str) -> tuple[int, str, str]:
        code = NOTEBOOK.replace("REPLY", reply)
        (here / "mine.py").write_text(code)
        words = ("mine.py",) if way == "script" else ("-c", code)
        done = python(*words, cwd=here)
        return done.returncode, done.stdout, done.stderr

    code, out, err = run("changed: X")
    assert code == 0, err
    assert out == "py:__main__:Mine 15 {'changed: X'}\n" * 2
    assert run("changed: X")[:2] == (0, out)  # resumed in another process
    code, out, err = run("changed: Y")  # other code is another explainer
    assert code != 0
    assert "source_sha256" in err


MINE = """
import json
from HELPER import reply
from PACKAGE.one import nothing

class Mine:
    IDENTITY
    def complete(self, prompts):
        import HELPER_late
        return [reply() for _ in prompts]
"""


def words(identity: str = "") -> tuple[str, ...]:
    """A command of its own, whose module imports a helper, a package and a module late."""
    name = f"own_{time.monotonic_ns()}"
    source = MINE.replace("HELPER", f"{name}_helper").replace("PACKAGE", f"{name}_parts")
    Path(f"{name}.py").write_text(source.replace("IDENTITY", identity))
    Path(f"{name}_helper.py").write_text("def reply(): return 'changed: X'\n")
    Path(f"{name}_helper_late.py").write_text(f"import {name}_helper\n")
    parts = Path(f"{name}_parts")
    parts.mkdir()
    (parts / "__init__.py").write_text("")
    (parts / "one.py").write_text("from .two import nothing\n")
    (parts / "two.py").write_text("from . import three\nnothing = three.n\n")
    (parts / "three.py").write_text("n = 1\n")
    (parts / "never.py").write_text("n = 2\n")
    return ("run", "--suite", "toy", "-t", ABLATIONS, "--model", f"py:{name}:Mine")


@pytest.mark.parametrize(
    "which", ["_helper.py", "_helper_late.py", "_parts/__init__.py", "_parts/three.py"]
)
def test_a_changed_helper_resumes_nothing(call: Call, which: str) -> None:
    command = words()
    assert call(*command)[0] == 0
    path = Path(command[-1].split(":")[1] + which)
    path.write_text(path.read_text() + "# changed\n")
    assert "imports_sha256" in refused(call(*command), 4)


def test_what_is_not_imported_does_not_count(call: Call) -> None:
    command = words()
    assert call(*command)[0] == 0
    Path(command[-1].split(":")[1] + "_parts/never.py").write_text("changed = 1\n")
    out = succeeded(call(*command))
    assert out.endswith("15 queries answered, complete already, nothing asked\n")


def test_only_what_was_asked_is_said_to_be(call: Call) -> None:
    command = words()
    assert call(*command)[1].endswith("15 queries answered\n")
    (path,) = Path("runs").glob("*.jsonl")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:5]))
    for asked in (11, 0):
        (run,) = json.loads(call(*command, "--json")[1])["runs"]
        assert (run["rows"], run["asked"]) == (15, asked)


@pytest.mark.parametrize("way", ["identity = VALUE", "def identity(self): return VALUE"])
def test_a_declared_identity_counts(call: Call, way: str) -> None:
    command = words(way.replace("VALUE", "'weights of May'"))
    assert call(*command)[0] == 0
    (path,) = Path("runs").glob("*.jsonl")
    assert ib.load(path).header.explainer.settings["declared_identity"] == "weights of May"
