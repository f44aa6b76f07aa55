"""A verdict by comparison: the same explainer asked with the vector and without."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from tiny_prompts import make_explainer, make_prompts
from tiny_training import train

import introspect_bench as ib
from introspect_bench.benchmark.backends.explainer.decision import Compared
from introspect_bench.benchmark.backends.explainer.local import LocalExplainer
from introspect_bench.benchmark.backends.injection.spec import Injection
from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.records import Answer, Completion, Prompt
from introspect_bench.benchmark.registry import get_task

PATCHING, ABLATIONS = "activation-patching", "input-ablations"


def content(reply: str) -> str:
    answer = get_task(PATCHING).parse(reply)
    assert isinstance(answer, Answer)
    return answer.content


class Says:
    """Stands for an explainer: one reply with the vector, another one without."""

    def __init__(self, seen: str, blind: str) -> None:
        self.seen, self.blind = seen, blind

    def complete(self, prompts: Sequence[Prompt]) -> list[Completion]:
        return [Completion(text=self.seen, n_in=3, n_out=2) for _ in prompts]

    def without_vectors(self) -> Says:
        return Says(self.blind, self.blind)


def test_widths_are_the_explainers() -> None:
    """A stand-in would take any; a real one refuses before it is asked."""
    explainer = make_explainer("llama")
    with pytest.raises(UsageError, match="the vectors have width 17"):
        Compared(explainer, get_task(PATCHING)).check_width(17)
    Compared(explainer, get_task(PATCHING)).check_width(explainer.d_model)


def asked(seen: str, blind: str) -> Completion:
    explainer = cast(LocalExplainer, Says(seen, blind))
    (reply,) = Compared(explainer, get_task(PATCHING)).complete(make_prompts()[:1])
    return reply


@pytest.mark.parametrize(
    ("seen", "blind", "answer"),
    [
        ("unchanged: Rome", "unchanged: Paris", "changed: Rome"),
        ("changed: Rome", "unchanged:  'Rome'.", "unchanged: Rome"),
        (" Rome, so the output would change to <<<Rome>>>", "changed: Rome", "unchanged: Rome"),
    ],
)
def test_the_verdict_is_whether_the_outputs_differ(seen: str, blind: str, answer: str) -> None:
    task = get_task(PATCHING)
    found = asked(seen, blind)
    lines = found.text.split("\n")
    working = [f"with the vector: {seen.strip()}", f"without it: {blind}"]
    assert lines == ["<think>", *working, "</think>", answer]
    assert task.parse(found.text) == task.parse(answer) is not None
    assert (found.n_in, found.n_out) == (6, 4)


@pytest.mark.parametrize(
    ("seen", "blind"),
    [("Rome", "changed: Paris"), ("changed: Rome", "it is Paris"), ("changed: Rome", "changed")],
)
def test_without_two_answers_the_reply_stands_as_it_is(seen: str, blind: str) -> None:
    found = asked(seen, blind)
    assert found.text == seen
    assert (found.n_in, found.n_out) == (6, 4)  # both were asked


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_the_second_reply_is_that_of_the_control(name: str) -> None:
    injection = Injection(mode="replace", layer=0)
    own, control = (
        make_explainer(name, injection=injection, use_vectors=use) for use in (True, False)
    )
    prompts = make_prompts()
    before = own.complete(prompts)
    blind = own.without_vectors()
    assert blind.complete(prompts) == control.complete(prompts)
    assert own.complete(prompts) == before
    assert control.without_vectors() is control


def test_a_run_says_how_its_verdicts_came_about(suites: Path, base: Path, tmp_path: Path) -> None:
    folder = train(
        base,
        suites,
        tmp_path / "explainer",
        tasks=[PATCHING],
        epochs=60,
        method="full",
        learning_rate=0.01,
        patience=60,
        injection=Injection(mode="replace", layer=0),
        decoding="compared",
    )

    def run(**more: Any) -> Any:
        place = tmp_path / "-".join(["runs", *more])
        return ib.run(str(folder), suite=str(suites), output=place, **more)

    compared, free = run(tasks=[PATCHING]), run(tasks=[PATCHING], decoding="greedy")
    settings = compared[0].header.explainer.settings
    assert settings["decoding"] == "compared"
    task = get_task(PATCHING)
    assert any("\n" in row["raw"] for row in compared[0].rows.values())
    for qid, row in compared[0].rows.items():
        plain = free[0].rows[qid]["raw"]
        lines = row["raw"].split("\n")
        if len(lines) == 1:
            assert row["raw"] == plain
            continue
        assert lines[1] == f"with the vector: {plain.strip()}"
        assert content(lines[-1]) == content(plain)
    result = ib.score(compared[0].path, suite=str(suites))
    assert result["explainer"]["decoding"] == "compared"
    (control,) = run(tasks=[PATCHING], no_vector=True)
    said = [task.parse(row["raw"]) for row in control.rows.values()]
    answers = [answer for answer in said if isinstance(answer, Answer)]
    assert answers
    assert not any(answer.changed for answer in answers)


def test_a_task_without_vectors_has_nothing_to_compare(
    suites: Path, base: Path, tmp_path: Path
) -> None:
    """Replies are then chosen as a whole, which the run says."""
    greedy, whole, compared = (
        ib.run(
            str(base),
            suite=str(suites),
            tasks=[ABLATIONS],
            split="mini",
            decoding=decoding,
            output=tmp_path / decoding,
        )[0]
        for decoding in ("greedy", "whole-reply", "compared")
    )
    said = [{qid: row["raw"] for qid, row in run.rows.items()} for run in (greedy, whole, compared)]
    assert said[2] == said[1] != said[0]
    assert compared.header.explainer.settings["decoding"] == "whole-reply"
