"""Several processes answer, judge and measure what one does, as torchrun starts them."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from program import environment
from tiny_builds import TASKS
from tiny_suites import make_suite_folder

from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.team import Team, team

HELPERS = str(Path(__file__).parents[1] / "helpers")
WORKER = """
import os, signal, sys
from pathlib import Path

sys.path[:0] = [{helpers!r}, "."]
from introspect_bench.__main__ import main

out, killed = Path(sys.argv[1]), len(sys.argv) > 2
if killed and os.environ["RANK"] == "1":
    from says import Says
    answer, calls = Says.complete, []

    def complete(self, prompts):
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer(self, prompts)

    Says.complete = complete
words = ["run", "--model", "py:says:Says", "--suite", "toy", "--batch-size", "2", "-o", str(out)]
code = main([*words, "-t", "activation-patching", "-t", "input-ablations"])
if code or killed:
    os._exit(code or 9)
from tiny_builds import TASKS, load, load_rounded, order, quiet, small_world
from introspect_bench.benchmark.backends.interventions import calculator, stability
from introspect_bench.tasks.build.make import make_suite
again, ceiling = [], []

def counted(read, calls):
    return lambda target, asked, **named: calls.append(len(asked)) or read(target, asked, **named)

stability.confirm = counted(stability.confirm, again)
calculator.greedy = counted(calculator.greedy, ceiling)
with small_world():
    for task in TASKS:
        (out / task).mkdir(parents=True, exist_ok=True)
        make_suite(order(task, out, nulls=True), load, load_rounded, quiet)
print("measured", sum(again), sum(ceiling), file=sys.stderr)
"""
SAYS = """
class Says:
    def complete(self, prompts):
        return [f"changed: {prompt.query.id}" for prompt in prompts]
"""


def processes(place: Path, size: int, *words: str) -> list[subprocess.CompletedProcess[str]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    meet = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(size)}
    started = [
        subprocess.Popen(
            [sys.executable, "worker.py", *words],
            env=environment(
                OMP_NUM_THREADS="1",
                ACCELERATE_USE_CPU="true",
                RANK=str(rank),
                LOCAL_RANK=str(rank),
                **meet,
            ),
            cwd=place,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    done = []
    for one in started:
        out, err = one.communicate(timeout=300)
        done.append(subprocess.CompletedProcess(one.args, one.returncode, out, err))
    return done


def measured(done: subprocess.CompletedProcess[str]) -> list[int]:
    """Answers measured again for stability, and by the calculator and the nulls."""
    line = next(row for row in done.stderr.splitlines() if row.startswith("measured "))
    return [int(word) for word in line.split()[1:]]


def rows(folder: Path) -> dict[str, list[dict[str, object]]]:
    """What run files hold, but who made them and how long it took."""
    found = {}
    for path in sorted((folder).glob("*.jsonl")):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines[1:]:
            for name in ("ms", "cost", "body_sha256"):
                line.pop(name, None)
        found[path.name] = lines[1:]
    return found


def test_two_processes_write_what_one_does_also_after_one_was_killed(tmp_path: Path) -> None:
    make_suite_folder(tmp_path / "toy")
    (tmp_path / "says.py").write_text(SAYS)
    (tmp_path / "worker.py").write_text(WORKER.format(helpers=HELPERS))
    [alone] = processes(tmp_path, 1, "one")
    assert alone.returncode == 0, alone.stderr
    killed = processes(tmp_path, 2, "two", "killed")
    assert killed[1].returncode == -9
    assert killed[0].returncode != 0
    before = rows(tmp_path / "two")
    [begun] = before.values()
    assert 0 < len(begun) < 12
    both = processes(tmp_path, 2, "two")
    assert [one.returncode for one in both] == [0, 0], both[1].stderr
    assert rows(tmp_path / "one") == rows(tmp_path / "two")
    assert "exact match" in both[0].stdout
    assert both[1].stdout == ""
    for task in TASKS:
        suites = [tmp_path / name / task for name in ("one", "two")]
        made = [
            {p.relative_to(suite): p.read_bytes() for p in sorted(suite.rglob("*")) if p.is_file()}
            for suite in suites
        ]
        assert len(made[0]) > 9
        assert made[0] == made[1]
    work = measured(alone)
    shares = [measured(one) for one in both]
    assert min(work) > 0
    assert [sum(own) for own in zip(*shares, strict=True)] == work


def test_work_is_dealt_in_order_by_a_team_of_one() -> None:
    assert list(Team().deal([3, 1, 2], str)) == [(3, "3"), (1, "1"), (2, "2")]
    with pytest.raises(UsageError, match="no"):
        list(Team().deal([1], fail))


def fail(_job: int) -> str:
    raise UsageError("no")


def test_who_it_is_stands_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert team() == Team(rank=0, size=1, local_rank=0)
    for name, value in (("RANK", "5"), ("WORLD_SIZE", "8"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    assert team() == Team(rank=5, size=8, local_rank=1)
    assert not team().first
