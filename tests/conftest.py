"""Fixtures shared by all tests: toy tasks and suites, scripted explainers, and their runs.

Also loaded by path, as a plain module, by the tests that start a second process.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from introspect_bench.benchmark import files
from introspect_bench.benchmark.evaluation.predict import predict
from introspect_bench.benchmark.explainer import ExplainerCard
from introspect_bench.benchmark.prompts import PromptSpec
from introspect_bench.benchmark.records import SLOT, SPLITS, Answer, Completion, Prompt, Query
from introspect_bench.benchmark.runs.run import Run, read_run
from introspect_bench.benchmark.suite.manifest import SCHEMA, data_hash
from introspect_bench.benchmark.suite.suite import Suite, open_suite
from introspect_bench.benchmark.task import Rendered, Task

D_TARGET = 4
N_GROUPS = {"train": 8, "validation": 4, "test": 6}
CITIES = ("Paris", "Rome", "Kyōto", "Oslo", "Lima", "Cairo", "Quito", "Москва")
PROMPT_SHA256 = "ab" * 32


def _parse(raw: str) -> Answer | None:
    verdict, colon, content = raw.partition(": ")
    if not colon or verdict not in ("changed", "unchanged"):
        return None
    return Answer(changed=verdict == "changed", content=content)


def _format(answer: Answer) -> str:
    return f"{'changed' if answer.changed else 'unchanged'}: {answer.content}"


def _render(query: Query, name: str, slot: str) -> Rendered:
    number = int(query.id, 16) % 2 + 1
    return Rendered(
        template=f"{name}/{number}",
        instructions=f"Instructions {number}.",
        question=f"{query.fields['text']} {slot} What then?",
    )


def make_toy_task(*, uses_vector: bool) -> Task:
    """A task whose replies read `changed: TEXT` or `unchanged: TEXT`."""
    name = "toy-vector" if uses_vector else "toy-text"
    slot = f"Put {SLOT} there." if uses_vector else "Remove it."
    return Task(
        name=name,
        version="v1",
        summary="Asks what a toy does.",
        uses_vector=uses_vector,
        render=lambda query: _render(query, name, slot),
        parse=_parse,
        format_answer=_format,
        metrics=("exact_match", "has_changed_macro_f1", "content_match", "group_consistency"),
        headline="exact_match",
        headline_kinds=None if uses_vector else ("hint", "context"),
        prompt_sha256=PROMPT_SHA256,
    )


def _rows(split: str, task: Task) -> list[tuple[dict[str, object], dict[str, object]]]:
    """Query and truth rows: groups of four, of which two change."""
    rows = []
    kinds = ["last-subject", "relation"] if task.uses_vector else ["hint", "context"]
    if split == "test" and not task.uses_vector:
        kinds.append("word")
    for group in range(N_GROUPS[split]):
        clean = CITIES[group % len(CITIES)]
        for member in range(4):
            kind = kinds[group % len(kinds)]
            fields: dict[str, object] = {
                "text": f"{split} {group}: the city is",
                "relation": "city",
            }
            if task.uses_vector:
                block = 6 * (group % 2)
                fields |= {"position": 3, "n_tokens": 6, "token": "city"}
                fields["layers"] = [block, block + 5]
            else:
                fields |= {"removed": f"hint {member}", "span": [0, 4], "answer_form": "text"}
            outcome = clean if member < 2 else CITIES[(group + member) % len(CITIES)]
            key = f"{task.name} {split} {group}"
            query: dict[str, object] = {
                "id": hashlib.sha256(f"{key} {member}".encode()).hexdigest()[:16],
                "group": hashlib.sha256(key.encode()).hexdigest()[:16],
                "kind": kind,
                "vector": 4 * group + member if task.uses_vector else None,
                "fields": fields,
            }
            truth: dict[str, object] = {
                "id": query["id"],
                "clean": clean,
                "outcome": outcome,
                "clean_ids": [1, 2],
                "outcome_ids": [1, 2] if clean == outcome else [3],
                "margin": 1.5,
            }
            rows.append((query, truth))
    return rows


def freeze_toy(root: Path, **changes: object) -> Suite:
    """Write the manifest of the files that are there, with fields replaced; open the suite."""
    found = {
        path.relative_to(root).as_posix(): {
            "sha256": files.sha256_file(path),
            "bytes": path.stat().st_size,
        }
        for path in sorted(root.rglob("*.*"))
        if path.name != "manifest.json"
    }
    manifest = files.read_json(root / "manifest.json") if not changes.keys() >= {"task"} else {}
    manifest |= {"schema": SCHEMA, "files": found, "data_sha256": data_hash(found), **changes}
    files.write_json_atomic(root / "manifest.json", manifest)
    return open_suite(root)


NULL = {"name": "commonest-answer", "access": "words", "metrics": {"exact_match": 0.125}}


def make_toy_suite(root: Path, task: Task) -> Suite:
    """Write a suite of 32 training, 16 validation and 24 test queries and open it."""
    rng = np.random.default_rng(0)
    mini: list[object] = []
    for split in SPLITS:
        rows = _rows(split, task)
        queries, truth = zip(*rows, strict=True)
        files.write_jsonl_atomic(root / split / "queries.jsonl", queries)
        files.write_jsonl_atomic(root / split / "truth.jsonl", truth)
        files.write_jsonl_atomic(
            root / split / "oracle.jsonl",
            [{"id": t["id"], "clean": t["clean"], "source": None} for t in truth],
        )
        if task.uses_vector:
            vectors = rng.normal(size=(len(rows), D_TARGET)).astype(np.float16)
            save_file({"vectors": vectors}, root / split / "vectors.safetensors")
        if split == "validation":
            mini = [query["id"] for query in queries[:4]]
    statistics = {
        "prior_exact_match": 0.125,
        "input_only_ceiling": {"exact_match": 0.5, "content_match": 0.5},
    }
    return freeze_toy(
        root,
        suite="toy",
        task=task.name,
        version="v1",
        frozen=True,
        target={"name": "toy-target", "weights_sha256": {"toy.safetensors": "cd" * 32}},
        splits={name: {"queries": 4 * n, "groups": n} for name, n in N_GROUPS.items()},
        mini=mini,
        prompt_sha256=PROMPT_SHA256,
        seed=0,
        doctor={"identity_patch": "pass"},
        statistics=dict.fromkeys(SPLITS, statistics),
        nulls={split: [NULL] for split in ("validation", "test")},
    )


@dataclass
class Scripted:
    """Replies by query id, or by a function of the batch; remembers what it was asked."""

    replies: Mapping[str, str] | Callable[[Sequence[Prompt]], Sequence[Completion | str]]
    batches: list[list[Prompt]] = field(default_factory=list)

    def complete(self, prompts: Sequence[Prompt]) -> Sequence[Completion | str]:
        self.batches.append(list(prompts))
        if callable(self.replies):
            return self.replies(prompts)
        return [self.replies.get(prompt.query.id, "no idea") for prompt in prompts]


def batch_replies(prompts: Sequence[Prompt]) -> list[Completion | str]:
    """Replies that depend on the whole batch, as a real model's last bits do."""
    batch = hashlib.sha256(" ".join(p.query.id for p in prompts).encode()).hexdigest()
    return [
        Completion(text=f"changed: {p.query.id} in {batch} é\u2028", n_in=len(p.question), n_out=3)
        for p in prompts
    ]


@pytest.fixture
def toy_task() -> Task:
    """A task with vectors."""
    return make_toy_task(uses_vector=True)


@pytest.fixture
def toy_text_task() -> Task:
    """A task without vectors, with two headline kinds and the test-only kind `word`."""
    return make_toy_task(uses_vector=False)


@pytest.fixture(scope="session")
def _frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("toy")
    for uses_vector in (True, False):
        make_toy_suite(root / str(uses_vector), make_toy_task(uses_vector=uses_vector))
    return root


@pytest.fixture
def toy_suite(_frozen: Path, tmp_path: Path) -> Suite:
    """A suite of `toy_task`, in a folder of its own: tests may damage it."""
    return open_suite(Path(shutil.copytree(_frozen / "True", tmp_path / "suite")))


@pytest.fixture
def toy_text_suite(_frozen: Path, tmp_path: Path) -> Suite:
    """A suite of `toy_text_task`, in a folder of its own: tests may damage it."""
    return open_suite(Path(shutil.copytree(_frozen / "False", tmp_path / "text-suite")))


@pytest.fixture
def freeze() -> Callable[..., Suite]:
    """`freeze(root, field=value)`: hash a damaged suite again, so that only its logic is wrong."""
    return freeze_toy


@pytest.fixture
def scripted() -> type[Scripted]:
    """`scripted({id: reply})` or `scripted(function)`: an explainer."""
    return Scripted


@pytest.fixture
def batch_dependent() -> Scripted:
    """An explainer whose replies depend on the whole batch."""
    return Scripted(batch_replies)


@pytest.fixture
def card() -> ExplainerCard:
    """The card of a scripted explainer."""
    return ExplainerCard(name="toy/scripted", kind="custom", settings={"temperature": 0.0})


@pytest.fixture
def perfect() -> Callable[[Task, Suite, str], dict[str, str]]:
    """`perfect(task, suite, split)`: the reply that scores 1, by query id."""

    def replies(task: Task, suite: Suite, split: str) -> dict[str, str]:
        truth = suite.truth(split)
        return {key: task.format_answer(value.answer) for key, value in truth.items()}

    return replies


@pytest.fixture
def ask(
    toy_task: Task, toy_suite: Suite, card: ExplainerCard, tmp_path: Path
) -> Callable[..., Path]:
    """`predict` on the toy suite's test split, with anything changed."""

    def call(explainer: Any, **changes: Any) -> Path:
        arguments: dict[str, Any] = {
            "task": toy_task,
            "suite": toy_suite,
            "split": "test",
            "card": card,
            "out": tmp_path / "run.jsonl",
            "batch_size": 3,
        }
        arguments |= changes
        rest = ("card", "out", "resume", "device", "on_progress")
        more = {name: arguments.pop(name) for name in rest if name in arguments}
        return predict(PromptSpec(**arguments), explainer, **more)

    return call


@pytest.fixture
def run_of(card: ExplainerCard, scripted: Callable[..., Any], tmp_path: Path) -> Callable[..., Run]:
    """The run of an explainer that gives these replies."""

    def make(task: Task, suite: Suite, replies: dict[str, str], **changes: Any) -> Run:
        own = changes.pop("card", card)
        arguments: dict[str, Any] = {"split": "test", "batch_size": 5} | changes
        path = tmp_path / f"{time.monotonic_ns()}.jsonl"
        spec = PromptSpec(task=task, suite=suite, **arguments)
        return read_run(predict(spec, scripted(replies), own, path))

    return make
