"""Own code that changed is another explainer, also where a helper of it changed."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from program import ABLATIONS, Call, refused, succeeded

import introspect_bench as ib

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
