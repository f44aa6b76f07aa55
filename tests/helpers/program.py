"""The program as a user meets it, in a process of its own or called here."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import click

import introspect_bench
from introspect_bench.cli import command_line

PATCHING, ABLATIONS = "activation-patching", "input-ablations"
CONSTANT = ("run", "--model", "baseline/constant")

Ended = tuple[int, str, str]
"""Exit code, stdout, stderr."""
Call = Callable[..., Ended]
"""`call(words...)`: run the program."""

PACKAGES = str(Path(introspect_bench.__file__).parents[1])
"""Where the package under test is, also for a process in another folder."""


@cache
def commands() -> dict[tuple[str, ...], click.Command]:
    """Every command and group by the words that name it; the program itself by none."""
    found: dict[tuple[str, ...], click.Command] = {}
    left: list[tuple[tuple[str, ...], click.Command]] = [((), command_line)]
    while left:
        words, command = left.pop(0)
        found[words] = command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                below = command.get_command(context, name)
                assert below is not None
                left.append(((*words, name), below))
    return found


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


LAUNCHER = """
import json, resource, subprocess, sys
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
code = subprocess.run(sys.argv[2:], stdout=subprocess.DEVNULL).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([code, used.ru_maxrss, used.ru_utime + used.ru_stime]))
"""
"""A small process in between: a child's peak starts at what its parent held when it forked, and the
tests' own process holds more than an attack may take."""


@dataclass(frozen=True, kw_only=True)
class Used:
    """What a process came to."""

    code: int
    said: str  # on stderr
    seconds: float  # of the processor
    megabytes: float  # at its peak


def measured(*words: str, cwd: Path, space: int = resource.RLIM_INFINITY) -> Used:
    """Run the program with some words and threads for one, in an address space of so many bytes."""
    launched = [sys.executable, "-I", "-c", LAUNCHER, str(space), "timeout", "600"]
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run(
        [*launched, sys.executable, "-m", "introspect_bench", *words],
        cwd=cwd,
        env=environment(**one),
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
    )
    code, kilobytes, seconds = json.loads(done.stdout)
    return Used(code=code, said=done.stderr, seconds=seconds, megabytes=kilobytes / 1024)


def started(*words: str, cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the program with some words."""
    return python("-m", "introspect_bench", *words, cwd=cwd, **more)


def one_run(
    call: Call,
    *words: str,
    model: str = "baseline/constant",
    task: str = ABLATIONS,
    suite: str = "toy",
    out: str = "runs",
) -> Path:
    """Answer one task and return the run file, the only one of such a model there."""
    succeeded(call("run", "-m", model, "--suite", suite, "-t", task, "-o", out, *words))
    (path,) = Path(out).glob(f"*{re.split('[/:]', model)[-1]}*.{task}.*.jsonl")
    return path


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
