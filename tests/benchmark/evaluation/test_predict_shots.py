"""Solved training queries in prompts: which ones, drawn how, and when there are none to show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_runs import asked

from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.prompts import render_all
from introspect_bench.benchmark.suite.suite import Suite
from introspect_bench.benchmark.task import Task


def test_shots_are_solved_training_queries(
    ask: Callable[..., Path], batch_dependent: Any, toy_suite: Suite, toy_task: Task
) -> None:
    ask(batch_dependent, shots=4)
    truth = toy_suite.truth("train")
    vectors = toy_suite.vectors("train")
    # The vector tells which training query a turn is.
    solved = {
        vectors[question.query.vector].astype(np.float32).tobytes(): question
        for question in render_all(toy_task, toy_suite.queries("train"))
    }
    by_template = {prompt.template: prompt.shots for prompt in asked(batch_dependent)}
    assert by_template["toy-vector/1"] != by_template["toy-vector/2"]
    for prompt in asked(batch_dependent):
        assert prompt.shots == by_template[prompt.template]
        found = [solved[turn.vector.tobytes()] for turn in prompt.shots if turn.vector is not None]
        assert len({question.query.id for question in found}) == 4
        for question, turn in zip(found, prompt.shots, strict=True):
            assert turn.question == question.rendered.question
            assert turn.answer == toy_task.format_answer(truth[question.query.id].answer)
            assert question.rendered.template == prompt.template
        kinds = sorted(question.query.kind for question in found)
        assert kinds == ["last-subject"] * 2 + ["relation"] * 2
        assert sum(turn.answer.startswith("changed") for turn in prompt.shots) == 2
        assert len({question.query.group for question in found}) == 4


def shots_of(explainer: Any) -> list[Any]:
    return [(p.template, [(t.question, t.answer) for t in p.shots]) for p in asked(explainer)]


def test_seed_decides_the_shots(
    ask: Callable[..., Path], scripted: Callable[..., Any], tmp_path: Path
) -> None:
    seen = []
    for number, seed in enumerate((0, 0, 1)):
        explainer = scripted({})
        ask(explainer, shots=3, seed=seed, out=tmp_path / f"{number}.jsonl")
        seen.append(shots_of(explainer))
    assert seen[0] == seen[1] != seen[2]


def test_shots_balance_kinds_and_verdicts_together(
    ask: Callable[..., Path], batch_dependent: Any, toy_text_task: Task, toy_text_suite: Suite
) -> None:
    # Were every `hint` shot changed and every `context` shot not, kind would give the answer away.
    ask(batch_dependent, task=toy_text_task, suite=toy_text_suite, shots=4)
    questions = {
        q.rendered.question: q.query.kind
        for q in render_all(toy_text_task, toy_text_suite.queries("train"))
    }
    for prompt in asked(batch_dependent):
        pairs = {(questions[t.question], t.answer.startswith("changed")) for t in prompt.shots}
        assert len(pairs) == 4


def test_impossible_shots(ask: Callable[..., Path], scripted: Callable[..., Any]) -> None:
    for split, shots, message in (
        ("train", 1, "answer another one"),
        ("test", -1, "give 0 or more"),
        ("test", 33, "the training split has 32"),
    ):
        with pytest.raises(UsageError, match=message):
            ask(scripted({}), split=split, shots=shots)
