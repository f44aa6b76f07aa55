"""A small suite of patching that says where its vectors were read, with invented facts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tiny_suites import CITIES, D_TARGET, measured, write_suite

from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.suite.freeze import Measured, query_id
from introspect_bench.benchmark.suite.suite import Suite, open_suite
from introspect_bench.tasks.activation_patching.task import KINDS
from introspect_bench.tasks.facts.facts import BY_RELATION

PATCHING = "activation-patching"
RELATIONS = dict.fromkeys(KINDS, "capital") | {"relation": "country"}
SHOWN, BLOCKS = "The capital of Peru is Lima.", ((0, 5), (6, 11))


def origin(kind: str, subject: str, number: int) -> dict[str, Any]:
    """Where a vector of a kind was read, in a text about a subject."""
    phrase = BY_RELATION[RELATIONS[kind]]
    tokens = {"last-subject": subject.split()[-1], "other-subject": subject.split()[0]}
    tokens |= {"relation": phrase.key, "demonstration": f"Lima{number}", "last": "is"}
    return {
        "text": phrase.closed("Peru", f"Lima{number}") + " " + phrase.open(subject),
        "position": 7 + number,
        "token": tokens[kind],
        "subject": subject,
        "relation": phrase.relation,
    }


def member(split: str, group: int, number: int, size: int = 4) -> Measured:
    """A query whose source is one of `size` subjects of its group; two of four change."""
    kind, clean = KINDS[group % len(KINDS)], CITIES[group % len(CITIES)]
    outcome = clean if number < 2 else CITIES[(group + number) % len(CITIES)]
    rng = np.random.default_rng([len(split), group, number])
    return measured(
        clean,
        outcome,
        kind=kind,
        fields={
            "text": f"{SHOWN} The capital of {split} {group} is",
            "position": 9,
            "n_tokens": 12,
            "token": str(group),
            "layers": list(BLOCKS[group % 2]),
            "relation": RELATIONS[kind],
        },
        source=CITIES[(group + number) % len(CITIES)],
        origin=origin(kind, f"Land {split} {group}-{number % size}", number),
        vector=rng.normal(size=D_TARGET).astype(np.float16),
    )


def groups_of(split: str, n: int) -> list[list[Measured]]:
    return [[member(split, group, number) for number in range(4)] for group in range(n)]


def make_reading_suite(
    folder: Path, groups: Mapping[str, list[list[Measured]]] | None = None
) -> Suite:
    """Write it as a folder for `--suite`, all splits; `groups` replaces some."""
    task = get_task(PATCHING)
    root = folder / task.name / task.version
    splits = {"train": groups_of("train", 10), "validation": groups_of("validation", 2)}
    splits |= {"test": groups_of("test", 2), **(groups or {})}
    mini = sorted(query_id(task.name, one) for one in splits["validation"][0])
    return open_suite(write_suite(root, task, splits, mini=mini))
