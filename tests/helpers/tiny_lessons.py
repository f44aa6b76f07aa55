"""Small suites of known make from which a baseline can learn, and how much it then gets right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tiny_models import D_MODEL
from tiny_suites import measured, write_suite

from introspect_bench.baselines import make_baseline
from introspect_bench.benchmark.explainer import Explainer
from introspect_bench.benchmark.prompts import build_prompt, render_all
from introspect_bench.benchmark.records import SPLITS, Prompt
from introspect_bench.benchmark.suite.freeze import Measured
from introspect_bench.benchmark.suite.suite import Suite, open_suite
from introspect_bench.benchmark.task import Task
from introspect_bench.tasks.activation_patching.task import make_task as make_patching
from introspect_bench.tasks.input_ablations.task import make_task as make_ablations

PATCHING, ABLATIONS = make_patching(), make_ablations()
CITIES = ("Paris", "Rome", "Oslo", "Lima", "Cairo", "Quito")


def patched(
    number: int,
    *,
    clean: str,
    outcome: str,
    vector: Any,
    source: str = "Bern",
    kind: str = "last-subject",
    layers: tuple[int, int] = (0, 5),
    shown: str = "Lisbon",
) -> Measured:
    return measured(
        clean,
        outcome,
        kind=kind,
        fields={
            "text": f"The city of Ann is {shown}. The city of Bob {number} is",
            "position": 9,
            "n_tokens": 12,
            "token": " Bob",
            "layers": list(layers),
            "relation": "city",
        },
        source=source,
        vector=np.asarray(vector, dtype=np.float16),
    )


def ablated(number: int, *, removed: str, clean: str, outcome: str, kind: str) -> Measured:
    question = f"Which letter is number {number}? "
    text = f"{question}{removed}"
    return measured(
        clean,
        outcome,
        kind=kind,
        fields={
            "text": text,
            "chat": kind == "hint",
            "answer_prefix": "",
            "removed": removed,
            "span": [len(question), len(text)],
            "answer_form": "letter" if kind == "hint" else "text",
            "relation": "letters",
        },
    )


def make_suite(
    root: Path, task: Task, splits: Mapping[str, Sequence[Measured]], target: str = "tiny"
) -> Suite:
    """A suite with one group for each query."""
    groups = {split: [[one] for one in splits[split]] for split in SPLITS}
    about = {"name": "tiny", "source": "local", "location": target}
    return open_suite(write_suite(root, task, groups, target=about))


def unit(index: int, size: float = 1.0) -> Any:
    return np.eye(D_MODEL)[index] * size


def patching_splits() -> dict[str, Sequence[Measured]]:
    """Early layers: the source's output comes out; late layers: nothing changes."""
    train, test = [], []
    for i in range(24):
        late = i % 2 == 1
        source = CITIES[i % 6]
        train.append(
            patched(
                i,
                clean="Kyoto",
                outcome="Kyoto" if late else source,
                source=source,
                vector=unit(i % 6, 2.0),
                layers=(24, 29) if late else (0, 5),
                kind="last" if late else "last-subject",
            )
        )
    for i in range(6):
        test.append(
            patched(
                100 + i,
                clean="Bonn",
                outcome=CITIES[i],
                source=CITIES[i],
                vector=unit(i) + 0.1,
            )
        )
        test.append(
            patched(
                200 + i,
                clean="Bonn",
                outcome="Bonn",
                source=CITIES[i],
                vector=unit(i) + 0.1,
                layers=(24, 29),
                kind="last",
            )
        )
    validation = [patched(300, clean="Bonn", outcome="Rome", vector=unit(1))]
    return {"train": train, "validation": validation, "test": test}


def ablation_splits() -> dict[str, Sequence[Measured]]:
    """A hint is always followed; without it the answer is A."""
    train, test = [], []
    for i in range(24):
        letter = "ABCD"[i % 4]
        hint = f"I think it is {letter}."
        train.append(ablated(i, removed=hint, clean=letter, outcome="A", kind="hint"))
        city = CITIES[i % 6]
        sentence = f"The city of Ann is {city}."
        train.append(ablated(i, removed=sentence, clean=city, outcome=city, kind="context"))
    for i in range(4):
        letter = "ABCD"[i]
        hint = f"I think it is {letter}."
        test.append(ablated(50 + i, removed=hint, clean=letter, outcome="A", kind="hint"))
        sentence = f"The city of Ann is {CITIES[i]}."
        test.append(
            ablated(60 + i, removed=sentence, clean=CITIES[i], outcome=CITIES[i], kind="context")
        )
    test.append(ablated(70, removed="Rome or Oslo?", clean="Rome", outcome="Oslo", kind="word"))
    validation = [ablated(80, removed="It is B.", clean="B", outcome="A", kind="hint")]
    return {"train": train, "validation": validation, "test": test}


def prompts_of(task: Task, suite: Suite, split: str = "test") -> list[Prompt]:
    vectors = suite.vectors(split) if task.uses_vector else None
    return [build_prompt(q, vectors, ()) for q in render_all(task, suite.queries(split))]


def replies_of(explainer: Explainer, task: Task, suite: Suite) -> dict[str, str]:
    prompts = prompts_of(task, suite)
    replies = explainer.complete(prompts)
    assert all(isinstance(reply, str) for reply in replies)
    return {p.query.id: str(reply) for p, reply in zip(prompts, replies, strict=True)}


def exact(name: str, task: Task, suite: Suite, kind: str | None = None) -> float:
    """Share of test queries with verdict and content right."""
    explainer, _ = make_baseline(name, task=task, suite=suite, split="test")
    replies = replies_of(explainer, task, suite)
    truth = suite.truth("test")
    kinds = {query.id: query.kind for query in suite.queries("test")}
    right = [
        task.parse(reply) == truth[key].answer
        for key, reply in replies.items()
        if kind in (None, kinds[key])
    ]
    return sum(right) / len(right)
