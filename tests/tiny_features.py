"""A tiny suite of features: directions of width 4, letters as tokens, judges that count letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from introspect_bench.benchmark.files import read_jsonl
from introspect_bench.benchmark.freeze import write_manifest
from introspect_bench.benchmark.freeze_features import MeasuredFeature, write_feature_split
from introspect_bench.benchmark.suite import Suite, open_suite
from introspect_bench.tasks import get_task
from introspect_bench.tasks.feature_descriptions import finish
from introspect_bench.tasks.feature_descriptions.exemplars import PLAN
from introspect_bench.tasks.feature_descriptions.judges import Embedding, Simulating

NAME = "feature-descriptions"
D_TARGET = 4
N_TOKENS = 8
COUNTS = {"train": 12, "validation": 6, "test": 9}
WORDS = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen")
"""Word `i` means token `i`."""

Ids = npt.NDArray[np.int32]


class Counting:
    """Predicts 9 on the tokens whose words a description holds, 1 where it holds `every`."""

    name, sha256, contrast = "counting-v1", "cd" * 32, True

    def predict(
        self, descriptions: Sequence[str], windows: Ids, *, silent: Any = None
    ) -> npt.NDArray[np.float32]:
        found = np.zeros(windows.shape, dtype=np.float32)
        for row, text in enumerate(descriptions):
            found[row] = 1.0 if "every" in text else 0.0
            for token, word in enumerate(WORDS):
                if word in text:
                    found[row][windows[row] == token] = 9
        return found if silent is None else np.maximum(found - silent, 0)

    def silent(self, windows: Ids) -> npt.NDArray[np.float16]:
        return np.zeros(windows.shape, dtype=np.float16)


class Letters:
    """Embeds a text as its counts of the letters of `WORDS`, plus one, at unit length."""

    sha256 = "ef" * 32

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        letters = sorted(set("".join(WORDS)))
        counts = np.array([[1 + 20 * text.count(sign) for sign in letters] for text in texts])
        unit = counts / np.linalg.norm(counts, axis=1, keepdims=True)
        return np.asarray(unit, dtype=np.float32)


def judges() -> list[Any]:
    return [Simulating(Counting()), Embedding(Letters(), name="letters")]


def feature(split: str, number: int) -> MeasuredFeature:
    """A feature active on one token: 3 in the first five windows, 0 in the rest but for noise."""
    rng = np.random.default_rng([len(split), number])
    token = number % N_TOKENS
    halves = []
    for _ in range(2):
        ids = rng.integers(N_TOKENS, size=(8, 32)).astype(np.int32)
        ids[5:] = np.where(ids[5:] == token, (token + 1) % N_TOKENS, ids[5:])
        ids[:5, 4] = token
        active = 3.0 * (ids == token) + rng.uniform(0, 0.2, size=ids.shape)
        halves.append((ids, active.astype(np.float16)))
    vector = rng.normal(size=D_TARGET)
    vector[token % D_TARGET] += 4
    word = WORDS[token]
    return MeasuredFeature(
        kind="sae" if number % 3 else "activation" if split == "test" else "sae",
        fields={"layer": number % 2},
        group=f"{split}:{number}",
        vector=(vector / np.linalg.norm(vector)).astype(np.float16),
        descriptions=(f"the word '{word}'", f"{word}", f"activates on {word}"),
        predicate=f"word:{word}",
        r_search=0.9,
        r_held_out=0.8,
        nearest_train=0.3 + 0.05 * number,
        window_r=0.9,
        kinds=np.array(PLAN, dtype=np.uint8),
        ids=halves[0][0],
        activations=halves[0][1],
        oracle_ids=halves[1][0],
        oracle_activations=halves[1][1],
    )


def make_feature_suite(root: Path, **changes: Any) -> Suite:
    """Write a whole suite whose judges are `Counting` and `Letters`."""
    task = get_task(NAME)
    counts: dict[str, Mapping[str, int]] = {}
    for split, n in COUNTS.items():
        features = [feature(split, number) for number in range(n)]
        counts[split] = write_feature_split(root / split, NAME, features)
    finish.write_known(root, [f"word:{word}" for word in WORDS])
    finish.add_references(root, Counting(), Letters(), lambda _stage, _n: None)
    ids = [row["id"] for _, row in read_jsonl(root / "validation" / "queries.jsonl")]
    simulator, embedding = judges()
    fields = {
        "suite": "toy",
        "task": NAME,
        "version": task.version,
        "frozen": True,
        "truth": "descriptions",
        "judges": {"simulator": simulator.id, "embedding": embedding.id},
        "target": {"name": "toy-target", "d_model": D_TARGET, "weights_sha256": {}},
        "splits": counts,
        "mini": sorted(ids[:2]),
        "prompt_sha256": task.prompt_sha256,
        "seed": 0,
        "doctor": {"identity_patch": "pass"},
        "statistics": {
            **{split: finish.describe_split(root / split) for split in COUNTS},
            "simulator": QUALITY,
        },
    }
    write_manifest(root, fields | changes)
    return open_suite(root)


QUALITY = {
    "simulator": {"name": "counting-v1", "sha256": "cd" * 32},
    "features": 6,
    "r": {"true": {"mean": 0.9, "median": 0.9, "interval": [0.8, 1.0], "constant": 0}},
    "auroc": {"value": 0.99, "interval": [0.9, 1.0]},
    "gain": {"value": 0.8, "interval": [0.7, 0.9]},
    "bars": {"auroc": {"value": 0.99, "bar": 0.85, "met": True}},
}
