"""The program as a user meets it, in a process of its own or called here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import introspect_bench

PATCHING, ABLATIONS = "activation-patching", "input-ablations"
CONSTANT = ("run", "--model", "baseline/constant")

Ended = tuple[int, str, str]
"""Exit code, stdout, stderr."""
Call = Callable[..., Ended]
"""`call(words...)`: run the program."""

PACKAGES = str(Path(introspect_bench.__file__).parents[1])
"""Where the package under test is, also for a process in another folder."""


def environment(**more: str) -> dict[str, str]:
    """This process's environment, with the package under test and more variables."""
    return {**os.environ, "PYTHONPATH": PACKAGES, **more}


def python(*words: str, cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    """Run this Python with some words; more environment variables by name."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env=environment(**more),
        capture_output=True,
        text=True,
        check=False,
    )


def started(*words: str, cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the program with some words."""
    return python("-m", "introspect_bench", *words, cwd=cwd, **more)


def one_run(call: Call, *words: str, task: str = ABLATIONS) -> Path:
    """Answer the toy suite's test split of one task and return the run file."""
    code, _, err = call(*CONSTANT, "--suite", "toy", "-t", task, *words)
    assert code == 0, err
    return Path("runs") / f"baseline-constant.toy.{task}.test.jsonl"


def the_sentence(err: str) -> str:
    """The last line of stderr, which must be the only error, without a traceback."""
    assert "Traceback" not in err
    *_, last = err.splitlines()
    assert err.count("introspect-bench: error: ") == 1
    assert last.startswith("introspect-bench: error: ")
    return last


def succeeded(ended: Ended) -> str:
    """What a command that ended well printed."""
    code, out, err = ended
    assert code == 0, err
    return out


def refused(ended: Ended, code: int, *, out: str | None = None) -> str:
    """The sentence of a command that ended with a code; `out` is all it printed, where given."""
    assert ended[0] == code, ended[2]
    assert out in (None, ended[1])
    return the_sentence(ended[2])
