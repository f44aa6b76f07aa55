"""Thresholds of verdicts: who is told `changed`, how many, and where nothing is touched."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_prompts import make_explainer, make_prompts
from tiny_training import make_base, train

import introspect_bench as ib
from introspect_bench.benchmark.backends.explainer.decision import VERDICTS, verdict_by
from introspect_bench.benchmark.backends.explainer.load import load_local
from introspect_bench.benchmark.backends.explainer.local import LocalExplainer
from introspect_bench.benchmark.backends.training.checkpoints import SEAL
from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.prompts import PromptSpec, build_prompts, cut_batches, render_all
from introspect_bench.benchmark.records import Answer, Prompt
from introspect_bench.benchmark.suite.select import tasks_of

PATCHING, ABLATIONS = "activation-patching", "input-ablations"
THRESHOLDS = "verdict_thresholds"


def asked() -> list[Prompt]:
    return [replace(p, template=f"{PATCHING}/1", openings=VERDICTS) for p in make_prompts()]


def gaps_of(explainer: LocalExplainer, prompts: list[Prompt]) -> Any:
    first, other = (explainer.encoder.reply_ids(verdict)[0] for verdict in VERDICTS)
    logits = explainer.first_logits(prompts)
    return (logits[:, first] - logits[:, other]).numpy()


def say_verdicts(explainer: LocalExplainer) -> LocalExplainer:
    """Let the words of verdicts be likelier than any other token, at every place."""
    firsts = [explainer.encoder.reply_ids(verdict)[0] for verdict in VERDICTS]

    def louder(_module: Any, _inputs: Any, logits: torch.Tensor) -> torch.Tensor:
        logits = logits.clone()
        logits[..., firsts] += 100
        return logits

    explainer.model.lm_head.register_forward_hook(louder)
    return explainer


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_the_verdict_is_told_by_the_threshold(name: str) -> None:
    prompts = asked()
    free = say_verdicts(make_explainer(name))
    gaps = gaps_of(free, prompts)
    assert len({*gaps.tolist()}) > 2
    threshold = float(np.median(gaps))
    held = say_verdicts(make_explainer(name, thresholds={PATCHING: threshold}))
    firsts = [held.encoder.reply_ids(verdict)[0] for verdict in VERDICTS]
    with torch.inference_mode():
        head, questions = held._encoded(prompts)
        written = held._written(head, questions, prompts[0])
    said = [reply.ids[0] == firsts[0] for reply in written]
    assert said == (gaps > threshold).tolist()
    assert 0 < sum(said) < len(said)
    # its probability stays the model's own
    logits = free.first_logits(prompts).log_softmax(-1)
    for row, reply in enumerate(written):
        assert reply.logprobs[0] == pytest.approx(float(logits[row, reply.ids[0]]), abs=1e-4)
    assert held.settings()[THRESHOLDS] == {PATCHING: threshold}
    assert THRESHOLDS not in free.settings()


@pytest.mark.parametrize("change", ["template", "openings", "another word"])
def test_what_asks_for_no_verdict_is_left_alone(change: str) -> None:
    prompts = asked()
    if change == "template":
        prompts = [replace(prompt, template=f"{ABLATIONS}/1") for prompt in prompts]
    elif change == "openings":
        prompts = [replace(prompt, openings=("part:",)) for prompt in prompts]
    held = make_explainer("llama", thresholds={PATCHING: -1e9})
    assert held.complete(prompts) == make_explainer("llama").complete(prompts)
    logits = torch.zeros(2, 9)
    logits[0, 8] = logits[1, 3] = 1.0
    assert verdict_by(logits, (2, 3), -5.0) == [(), (2,)]


def test_training_finds_what_says_changed_as_often_as_is_true(
    suites: Path, base: Path, tmp_path: Path
) -> None:
    folder = train(base, suites, tmp_path / "trained", epochs=1)
    record = json.loads((folder / "explainer.json").read_text())
    assert {*record[THRESHOLDS]} == {PATCHING, ABLATIONS}
    for task, suite in tasks_of(str(suites), (PATCHING, ABLATIONS)):
        explainer = load_local(str(folder))[0].for_task(task.name)
        spec = PromptSpec(task=task, suite=suite, split="validation", batch_size=7)
        questions = [one for one in render_all(task, spec.select()) if len(one.openings) == 2]
        batches = build_prompts(spec, cut_batches(questions, 7))
        gaps = np.concatenate([gaps_of(explainer, batch) for batch in batches])
        truths = suite.answers("validation")
        given = [truths[prompt.query.id] for batch in batches for prompt in batch]
        n_changed = sum(truth.changed for truth in given if isinstance(truth, Answer))
        assert len(gaps) > n_changed > 0
        assert (gaps > record[THRESHOLDS][task.name]).sum() == n_changed
    (run,) = ib.run(str(folder), suite=str(suites), tasks=[PATCHING], split="mini", output=tmp_path)
    assert run.header.explainer.settings[THRESHOLDS] == record[THRESHOLDS]
    # killed before they were found, and so before it was sealed, the same command finds them
    (folder / SEAL).unlink()
    (folder / "explainer.json").write_text(
        json.dumps({name: value for name, value in record.items() if name != THRESHOLDS})
    )
    assert train(base, suites, folder, epochs=1) == folder
    assert json.loads((folder / "explainer.json").read_text()) == record


@pytest.mark.parametrize("wrong", ['{"a": "0"}', '{"a": NaN}', "[1]", '{"a": true}', "3"])
def test_thresholds_that_are_none_are_refused(tmp_path: Path, wrong: str) -> None:
    base = make_base(tmp_path / "base")
    declared = f'{{"injection": {{"mode": "embedding"}}, "{THRESHOLDS}": {wrong}}}'
    (base / "explainer.json").write_text(declared)
    with pytest.raises((UsageError, ValueError), match=r"verdict_thresholds|explainer\.json"):
        load_local(str(base))
