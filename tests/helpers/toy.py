"""Toy tasks and suites, and a scripted explainer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from introspect_bench.benchmark import files
from introspect_bench.benchmark.records import SLOT, SPLITS, Answer, Completion, Prompt, Query
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
