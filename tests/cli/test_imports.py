"""What is imported for a verb: no more than it needs."""

from __future__ import annotations

import json

import pytest
from program import ABLATIONS, Call, one_run, python

import introspect_bench
from introspect_bench import api
from introspect_bench.benchmark._version import METRIC_VERSION, PROMPT_VERSION

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
