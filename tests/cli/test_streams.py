"""Speed, imports, and what goes to stdout, stderr and a terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from program import (
    ABLATIONS,
    CONSTANT,
    Call,
    environment,
    one_run,
    python,
    refused,
    started,
    the_sentence,
)

import introspect_bench
from introspect_bench import api
from introspect_bench.bars import Bar
from introspect_bench.benchmark._version import METRIC_VERSION, PROMPT_VERSION
from introspect_bench.cli import RENAMED, VERBS


@pytest.mark.parametrize("verb", [*VERBS, "data make", "data verify", "board build"])
def test_every_verb_has_help(call: Call, verb: str) -> None:
    code, out, err = call(*verb.split(), "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: introspect-bench {verb}")


@pytest.mark.parametrize(("old", "new"), sorted(RENAMED.items()))
def test_old_names_say_the_new_one(call: Call, old: str, new: str) -> None:
    assert f"`{old}` is now `{new}`" in refused(call(old, "x"), 2, out="")
    verb = new.split()[0]
    assert verb in VERBS or verb == "--version"


def test_common_options_come_first_in_the_help_of_run(call: Call) -> None:
    lines = call("run", "--help")[1].splitlines()
    titles = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    first = lines.index("Options:"), lines.index("How vectors enter:")
    common = [line for line in lines[slice(*first)] if line.startswith("  -")]
    assert titles[0] == "Options:"
    assert len(common) == 11  # ten and --help


def test_a_full_stdout_is_exit_3() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "introspect_bench", "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(),
            text=True,
            check=False,
        )
    assert done.returncode == 3
    assert "no disk space left" in the_sentence(done.stderr)


def test_a_reader_that_leaves_is_no_error(call: Call) -> None:
    run = one_run(call)
    with subprocess.Popen(
        [sys.executable, "-m", "introspect_bench", "show", str(run), "--suite", "toy"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""


def test_debug_shows_where_an_error_came_from() -> None:
    words = ("score", "nowhere.jsonl")
    assert "Traceback" not in started(*words).stderr
    shown = started(*words, INTROSPECT_BENCH_DEBUG="1")
    assert shown.returncode == 2
    assert "Traceback" in shown.stderr


def test_on_a_terminal_progress_moves_on_stderr_and_stdout_stays_pure() -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "introspect_bench", *CONSTANT, "--suite", "toy", "--json"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=environment(TERM="xterm", COLUMNS="120"),
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while chunk := os.read(ours, 4096):
                shown += chunk
        except OSError:  # the other end of a terminal closes with EIO
            pass
        assert process.stdout is not None
        out = process.stdout.read()
    os.close(ours)
    assert process.returncode == 0
    assert b"answering activation-patching" in shown
    assert b"12 of 12" in shown
    assert len(json.loads(out)["runs"]) == 2


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_long_step_says_every_half_minute_how_far_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()
    bar = Bar(None, clock=clock)
    for done in range(0, 1001, 10):
        bar("answering X", done, 1000, note="loss 0.1")
        clock.now += 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "answering X ..."
    assert lines[1] == "answering X: 150 of 1000  loss 0.1, about 3 min left"
    assert lines[2] == "answering X: 300 of 1000  loss 0.1, about 3 min left"
    assert len(lines) == 1 + 200 // 30


def test_a_step_that_goes_on_counts_from_where_it_began(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    bar = Bar(None, clock=clock)
    bar("answering X", 900, 1000)
    clock.now = 60
    bar("answering X", 910, 1000)
    bar("downloading", 5_000_000, 10_000_000, unit="bytes")
    clock.now = 100
    bar("downloading", 6_000_000, unit="bytes")
    assert capsys.readouterr().err.splitlines() == [
        "answering X ...",
        "answering X: 910 of 1000, about 9 min left",
        "downloading ...",
        "downloading: 6.0 MB",
    ]


def test_elsewhere_nothing_is_coloured_and_each_step_is_a_line() -> None:
    for words in (("ls", "baselines"), ("--help",)):
        done = started(*words)
        assert done.stdout
        assert "\x1b" not in done.stdout
        assert done.stderr == ""
    done = started(*CONSTANT, "--suite", "toy")
    assert "\x1b" not in done.stdout
    assert done.stderr.splitlines() == [
        "loading baseline/constant ...",
        "answering activation-patching ...",
        "answering input-ablations ...",
    ]


def test_a_terminal_with_few_letters_is_no_crash(call: Call) -> None:
    words = ("show", str(one_run(call)), "--suite", "toy")
    assert "Ky\u014dto" in started(*words).stdout
    done = started(*words, PYTHONIOENCODING="latin-1", PYTHONUTF8="0")
    assert done.returncode == 0
    assert "Ky\\u014dto" in done.stdout


CODE = """
import json, sys
from introspect_bench.__main__ import main
try:
    code = main(sys.argv[1:])
except SystemExit as ended:
    code = ended.code
print()
print(json.dumps([code, sorted(sys.modules)]))
"""
BUILDERS = {"build", "make", "making", "measure"}
"""Parts of names of modules that make suites."""


def imported(*words: str) -> set[str]:
    """Names of all modules after a command that ended well, in a process of its own."""
    done = python("-c", CODE, *words)
    assert done.stdout, done.stderr
    code, names = json.loads(done.stdout.splitlines()[-1])
    assert code in (0, None), done.stderr
    return set(names)


def builders(names: set[str]) -> set[str]:
    """Modules of ours that make suites."""
    ours = {name for name in names if name.startswith("introspect_bench.")}
    return {
        name
        for name in ours
        if any(part in BUILDERS or part.startswith("build_") for part in name.split("."))
    }


def test_score_imports_no_builder_and_no_torch(call: Call) -> None:
    path = one_run(call, task=ABLATIONS)
    names = imported("score", str(path), "--suite", "toy")
    assert "introspect_bench.benchmark.scoring" in names
    assert builders(names) == set()
    assert "torch" not in names


def test_a_builder_is_seen() -> None:
    ours = "introspect_bench.tasks"
    assert builders({f"{ours}.build.groups", f"{ours}.facts.measure", f"{ours}.task"}) == {
        f"{ours}.build.groups",
        f"{ours}.facts.measure",
    }


QUICK = {"numpy", "jinja2"}
LIBRARIES = {*QUICK, "torch", "transformers", "scipy", "huggingface_hub", "rich"}
MODELS = {"torch", "transformers", "nnsight", "peft", "sklearn", "datasets"}


@pytest.mark.parametrize(
    ("words", "heavy"),
    [
        ("--help", LIBRARIES),
        ("run --help", LIBRARIES),
        ("--version", QUICK),
        ("score --help", QUICK),
        ("ls --help", QUICK),
        ("ls suites", {"torch", "scipy"}),
        ("score RUN --suite toy", MODELS),
        ("validate RUN", MODELS),
        ("show RUN --suite toy", MODELS),
        ("score --markdown RUN --suite toy", MODELS),
        ("data verify --suite toy", MODELS),
        ("ls tasks", MODELS),
        ("ls targets", MODELS),
        ("ls baselines", {*MODELS, "scipy"}),
        ("ls versions", MODELS),
        ("cite", MODELS),
        ("export RUN --to csv --suite toy", MODELS),
        ("run -m baseline/constant --suite toy --split mini", MODELS),
        ("run -m baseline/zero-shot --suite toy --dry-run", MODELS),
    ],
)
def test_a_command_imports_no_more_than_it_needs(call: Call, words: str, heavy: set[str]) -> None:
    names = imported(*words.replace("RUN", str(one_run(call))).split())
    assert "click" in names  # what is imported is seen
    assert names & heavy == set()


def test_version_is_an_option(call: Call) -> None:
    version = f"introspect-bench {introspect_bench.__version__}"
    hashes = f"(metrics {METRIC_VERSION}, prompts {PROMPT_VERSION})"
    assert call("--version") == (0, f"{version} {hashes}\n", "")


def test_every_verb_is_found_when_it_is_asked_for() -> None:
    assert {name for name in api.__all__ if not callable(getattr(api, name))} == set()
    with pytest.raises(AttributeError, match="has no attribute 'fetch'"):
        _ = api.fetch
