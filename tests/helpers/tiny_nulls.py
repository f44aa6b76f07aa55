"""Invented queries as columns, whose vectors, texts or nothing at all tell what happens."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from introspect_bench.tasks.nulls.columns import Columns, texts

CITIES = ("Paris", "Rome", "Oslo", "Lima", "Bern", "Cairo")
D = 8


def patching(n_groups: int, *, seed: int, told_by: str) -> Columns:
    """Groups of four, two changed; `told_by` the vector's first coordinate, or by `nothing`."""
    rng = np.random.default_rng(seed)
    fields, clean, outcome, vectors = [], [], [], []
    for group in range(n_groups):
        was = CITIES[rng.integers(len(CITIES))]
        text = f"Town {seed} {group} lies near {was}. The city of Ann is"
        changed = rng.permutation([True, True, False, False])
        for one in changed:
            vector = rng.normal(size=D)
            if told_by == "vector":
                vector[0] = 4.0 if one else -4.0
            becomes = CITIES[(CITIES.index(was) + 1) % len(CITIES)] if one else was
            fields.append({"text": text, "layers": [6, 11], "relation": "city", "position": 3})
            clean.append(was)
            outcome.append(becomes)
            vectors.append(vector)
    return columns(
        fields, ["last"] * len(fields), clean, outcome, np.repeat(np.arange(n_groups), 4), vectors
    )


def ablations(n: int, *, seed: int, kind: str, told: bool) -> Columns:
    """One query a group; the word `surely` in the removed part tells of a change, if `told`."""
    rng = np.random.default_rng(seed)
    fields, clean, outcome, part = [], [], [], []
    for number in range(n):
        was, other = rng.choice(CITIES, size=2, replace=False)
        changed = bool(rng.integers(2))
        word = ("surely" if changed else "maybe") if told else "perhaps"
        removed = f"It is {word} {was}. "
        text = f"{removed}Question {seed} {number}: where? A:"
        row: dict[str, Any] = {"text": text, "removed": removed, "relation": "city"}
        letter = int(rng.integers(4))
        if kind == "which":
            said = [f"{'Surely' if told and i == letter else 'Maybe'} {i}. " for i in range(4)]
            ends = np.cumsum([0] + [len(one) for one in said])
            labels = rng.permutation([*"ABCD"])
            parts = [
                {"label": str(label), "span": [int(a), int(b)]}
                for label, (a, b) in zip(labels, pairwise(ends), strict=True)
            ]
            row = {"text": "".join(said) + "A:", "parts": parts, "relation": "city"}
        fields.append(row)
        clean.append(was)
        outcome.append(other if changed or kind == "which" else was)
        part.append(row["parts"][letter]["label"] if kind == "which" else "")
    return columns(fields, [kind] * n, clean, outcome, np.arange(n), None, part)


def columns(
    fields: Any, kinds: Any, clean: Any, outcome: Any, groups: Any, vectors: Any, part: Any = None
) -> Columns:
    n = len(fields)
    return Columns(
        fields=fields,
        kind=texts(kinds),
        group=np.asarray(groups, dtype=np.int64),
        text=texts([row["text"] for row in fields]),
        clean=texts([str(x) for x in clean]),
        outcome=texts([str(x) for x in outcome]),
        part=texts(part or [""] * n),
        source=texts([str(x) for x in outcome]),
        vector=None if vectors is None else np.array(vectors, dtype=np.float32),
    )
