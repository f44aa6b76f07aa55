"""Invented groups of patches that choices are made from."""

from __future__ import annotations

from typing import Any

import numpy as np

from introspect_bench.tasks.activation_patching.build import balance
from introspect_bench.tasks.activation_patching.build.balance import Candidate, CandidateGroup
from introspect_bench.tasks.activation_patching.build.contrast import Selection

WIDTH = 32


def group(rng: np.random.Generator, cell: str, *, slope: float = 2.0) -> CandidateGroup:
    """Twelve candidates of which the far ones tend to change the answer."""
    original = rng.normal(size=WIDTH)
    vectors = original + rng.normal(size=(12, WIDTH)) * rng.uniform(0.8, 1.2, size=(12, 1))
    far = np.linalg.norm(vectors - original, axis=1)
    likely = 1 / (1 + np.exp(-slope * (far - far.mean()) / far.std()))
    changed = rng.random(12) < likely
    clean = f"clean {rng.integers(60)}"
    return CandidateGroup(
        cell=cell,
        relation=f"relation {rng.integers(8)}",
        original=original.astype(np.float32),
        mean=np.zeros(WIDTH, np.float32),
        spread=float(np.sqrt(WIDTH)),
        probes=balance.no_probes(WIDTH),
        members=tuple(
            Candidate(
                changed=bool(one),
                outcome=f"answer {rng.integers(1000, 9999)}" if one else clean,
                source=f"source {rng.integers(50)}",
                guessed=bool(one and rng.random() < 0.3),
                vector=vector.astype(np.float32),
                payload=None,
            )
            for one, vector in zip(changed, vectors, strict=True)
        ),
    )


def many(n: int, **options: Any) -> list[CandidateGroup]:
    rng = np.random.default_rng(0)
    return [group(rng, f"cell {i % 5}", **options) for i in range(n)]


def selected(groups: list[CandidateGroup], size: int, **options: Any) -> Selection:
    caps = {"outcome_cap": 0.05, **options}
    selection = Selection(size=size, **caps)
    for one in groups:
        if len(selection.groups) < size:
            selection.offer(one)
    return selection
