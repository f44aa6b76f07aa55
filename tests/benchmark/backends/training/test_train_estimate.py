"""How much of a training is validation, and what `train --dry-run` says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from program import python
from tiny_training import train

import introspect_bench as ib
from introspect_bench.__main__ import main
from introspect_bench.benchmark.backends.training.command import checks
from introspect_bench.benchmark.suite.select import tasks_of
from introspect_bench.benchmark.suite.suite import Suite

PATCHING, ABLATIONS = "activation-patching", "input-ablations"


@pytest.mark.parametrize("n_seen", [100, 512, 3000, 20_000])
def test_by_default_validation_takes_a_tenth_at_most(n_seen: int) -> None:
    suites = tasks_of("smollm2-135m")
    evaluations, counts = checks(n_seen, suites, None)
    read = evaluations * sum(counts.values())
    assert read / (read + 2 * n_seen) <= 0.1  # to learn from a query is to read it twice, or more
    assert evaluations >= 1
    assert min(counts.values()) >= 1
    assert checks(n_seen, suites, 4) == (4, {task.name: 200 for task, _ in suites})


def test_a_split_without_queries_to_stop_by_is_no_division_by_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    suites = tasks_of("smollm2-135m", [PATCHING])
    monkeypatch.setattr(Suite, "queries", lambda *_: [])
    assert checks(100, suites, None) == (5, {PATCHING: 0})


def test_a_training_measures_what_it_says(suites: Path, base: Path, tmp_path: Path) -> None:
    options = {"epochs": 3, "evaluations": None, "tasks": [PATCHING], "batch_size": 2}
    plan = ib.plan_training(str(base), "out", suite=str(suites), **options)
    assert plan.queries == {PATCHING: 16}
    out = train(base, suites, tmp_path / "out", **options)
    record = json.loads((out / "explainer.json").read_text())["training"]
    assert record["validation"]["n"] == plan.validation[PATCHING]
    assert record["settings"]["evaluations"] == plan.evaluations == 1
    log = [json.loads(line) for line in (out / "training.jsonl").read_text().splitlines()]
    assert sum("eval_loss" in row for row in log) == 1
    assert plan.validation[PATCHING] <= 3 * 16 * 0.1 / 0.9 * 2


def test_a_dry_run_writes_and_loads_nothing(
    suites: Path,
    base: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["train", "-b", str(base), "--suite", str(suites), "-o", "out", "--dry-run"]
    assert main([*words, "--epochs", "2"]) == 0
    out = capsys.readouterr().out
    assert "out: about " in out
    assert ABLATIONS in out
    assert not Path("out").exists()
    assert main([*words, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)["plan"]
    assert set(plan["queries"]) == {PATCHING, ABLATIONS}
    assert plan["seconds"] >= 0
    code = (
        "import sys; from introspect_bench.__main__ import main; main(sys.argv[1:]);"
        "assert 'torch' not in sys.modules"
    )
    done = python("-c", code, *words)
    assert done.returncode == 0, (done.stderr, sys.version)
    assert main([*words[:2], "nowhere/at-all/x", *words[3:]]) != 0
