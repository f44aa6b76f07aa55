"""Small suites of the real tasks, with invented facts, as a folder that `--suite` takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.suite.freeze import Measured, query_id, write_manifest, write_split
from introspect_bench.benchmark.task import Task
from introspect_bench.tasks.build.statistics import describe

D_TARGET = 4
TARGET = {"name": "toy-target", "d_model": D_TARGET, "weights_sha256": {}}
N_GROUPS = {"train": 4, "validation": 2, "test": 3}
CITIES = ("Paris", "Rome", "Kyōto", "Oslo", "Lima", "Москва")
TEXT = "The city of Ann {n} of {split} is {clean}. The city of Bob is"


def measured(clean: str, outcome: str, **more: Any) -> Measured:
    """A query whose answer becomes another, or stays."""
    ids = {"clean_ids": [1, 2], "outcome_ids": [1, 2] if clean == outcome else [3]}
    return Measured(clean=clean, outcome=outcome, **{"margin": 1.5, **ids, **more})


def _patching(split: str, group: int, member: int) -> Mapping[str, Any]:
    rng = np.random.default_rng([len(split), group, member])
    return {
        "kind": "last-subject",
        "fields": {
            "text": TEXT.format(n=group, split=split, clean=CITIES[group % len(CITIES)]),
            "position": 3,
            "n_tokens": 14,
            "token": " Ann",
            "layers": [6 * (group % 2), 6 * (group % 2) + 5],
            "relation": "city",
        },
        "source": CITIES[member],
        "vector": rng.normal(size=D_TARGET).astype(np.float16),
    }


KINDS = ("hint", "context", "hint", "context", "which")
"""Kinds of the members of a group of ablations; hints and contexts change and do not."""


def _which(split: str, group: int) -> Mapping[str, Any]:
    said = [f"{name} says {group}. " for name in ("Ann", "Bob", "Cy", "Di")]
    starts = [sum(map(len, said[:place])) for place in range(len(said))]
    return {
        "kind": "which",
        "fields": {
            "text": "".join(said)
            + TEXT.format(n=group, split=split, clean=CITIES[group % len(CITIES)]),
            "chat": False,
            "answer_prefix": "",
            "parts": [
                {"label": "ABCD"[place], "span": [start, start + len(said[place]) - 1]}
                for place, start in enumerate(starts)
            ],
            "answer_form": "text",
            "relation": "city",
        },
        "part": "ABCD"[group % 4],
    }


def _ablation(split: str, group: int, member: int) -> Mapping[str, Any]:
    if KINDS[member] == "which":
        return _which(split, group)
    hint, clean = f"Someone says {member}.", CITIES[group % len(CITIES)]
    return {
        "kind": KINDS[member],
        "fields": {
            "text": f"{hint} {TEXT.format(n=group, split=split, clean=clean)}",
            "chat": False,
            "answer_prefix": "",
            "removed": hint,
            "span": [0, len(hint)],
            "answer_form": "text",
            "relation": "city",
        },
    }


FIELDS = {"activation-patching": _patching, "input-ablations": _ablation}


def _group(task: Task, split: str, group: int) -> list[Measured]:
    """Four queries of which two change, and for ablations one that asks which part matters."""
    clean = CITIES[group % len(CITIES)]
    found = []
    for member in range(len(KINDS) if task.name == "input-ablations" else 4):
        outcome = clean if member < 2 else CITIES[(group + member) % len(CITIES)]
        found.append(measured(clean, outcome, **FIELDS[task.name](split, group, member)))
    return found


def make_suite(
    root: Path, task: Task, splits: Sequence[str] = tuple(N_GROUPS), **changes: Any
) -> Path:
    """Write one suite into `root`, with nulls and statistics."""
    groups = {
        split: [_group(task, split, group) for group in range(N_GROUPS[split])] for split in splits
    }
    null = {"name": "text", "access": "words", "metrics": {task.headline: 0.1}}
    fields = {
        "target": TARGET | {"weights_sha256": {"toy.safetensors": "cd" * 32}},
        "nulls": {split: [null] for split in splits if split != "train"},
        "statistics": {split: describe(members) for split, members in groups.items()},
    }
    return write_suite(root, task, groups, **(fields | changes))


def write_suite(
    root: Path, task: Task, groups: Mapping[str, list[list[Measured]]], **changes: Any
) -> Path:
    """Write groups of queries by split; mini is the first group of validation."""
    counts = {
        split: write_split(root / split, task.name, members) for split, members in groups.items()
    }
    fields = {
        "suite": "toy",
        "task": task.name,
        "version": task.version,
        "frozen": True,
        "target": TARGET,
        "splits": counts,
        "mini": [query_id(task.name, one) for one in groups.get("validation", [[]])[0]],
        "prompt_sha256": task.prompt_sha256,
        "seed": 0,
        "doctor": {"identity_patch": "pass"},
    }
    write_manifest(root, fields | changes)
    return root


def make_suite_folder(folder: Path, splits: Sequence[str] = tuple(N_GROUPS)) -> Path:
    """Write suites of both tasks, as a folder for `--suite`."""
    for name in FIELDS:
        task = get_task(name)
        make_suite(folder / name / task.version, task, splits)
    return folder
