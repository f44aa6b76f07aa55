"""Errors that users stumble over name what is missing and what to run instead."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from program import ABLATIONS, PATCHING, Call, succeeded, the_sentence
from tiny_entries import CONTACT
from tiny_training import make_base, train

import introspect_bench as ib
from introspect_bench.benchmark.errors import MissingPartError, UsageError
from introspect_bench.benchmark.evaluation.run import RefusedTasksError


def test_submitting_a_mini_run_says_what_to_run(call: Call) -> None:
    words = ("--model", "baseline/constant", "--suite", "toy", "--split", "mini", "--no-score")
    assert call("run", *words)[0] == 0
    words = ("--name", "Acme/One", "--contact", CONTACT, "--declare", "--suite", "toy")
    code, _, err = call("submit", "runs", *words)
    assert code == 1
    said = the_sentence(err)
    assert "answers mini, submissions answer test" in said
    assert "`introspect-bench run --model baseline/constant --split test`" in said


def test_an_adapter_whose_base_moved_is_told_where_it_is(here: Path, call: Call) -> None:
    base = make_base(here / "base")
    train(base, here / "toy", here / "mine", tasks=[ABLATIONS], epochs=1)
    words = ("run", "--model", "mine", "--suite", "toy", "-t", ABLATIONS, "--max-new-tokens", "3")
    base.rename(here / "moved")
    code, _, err = call(*words)
    assert code == 3
    said = the_sentence(err)
    assert "mine is an adapter whose base model, " in said
    assert "is missing" in said
    assert "say where it is with --base" in said
    succeeded(call(*words, "--base", "moved"))
    (run,) = Path("runs").glob("mine*.jsonl")
    weights = ib.load(run).header.explainer.weights_sha256
    assert set(weights) >= {"adapter_model.safetensors", "base/model.safetensors"}
    code, _, err = call(*words[:2], "absent/folder/x", *words[3:], "--base", "moved")
    assert code != 0
    assert "adapter whose base" not in the_sentence(err)  # the explainer itself is what is missing


def test_a_base_is_for_adapters(here: Path) -> None:
    make_base(here / "plain")
    with pytest.raises(UsageError, match="plain is no adapter, and --base is for adapters"):
        ib.run("plain", suite="toy", tasks=[ABLATIONS], base="plain")
    with pytest.raises(UsageError, match="a base is for adapters of local models only"):
        ib.run("baseline/constant", suite="toy", base="plain")
    with pytest.raises(MissingPartError, match="no such folder"):
        ib.run("plain", suite="toy", base="./nowhere")


def test_another_width_names_the_training_that_takes_it(here: Path) -> None:
    make_base(here / "wide", hidden_size=8)
    with pytest.raises(RefusedTasksError, match=r"`introspect-bench train --projection aligned`"):
        ib.run("wide", suite="toy", tasks=[PATCHING])
    with pytest.raises(UsageError, match=r"`train --projection aligned`"):
        ib.train("wide", "out", suite="toy", tasks=[PATCHING])
    assert json.loads((here / "wide" / "config.json").read_text())["hidden_size"] == 8
