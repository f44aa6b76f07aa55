"""A tiny suite of features: directions of width 4, letters as tokens, a judge that counts words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from introspect_bench.benchmark.files import read_jsonl, write_jsonl_atomic
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.scoring.judged import EXACT
from introspect_bench.benchmark.suite.freeze import write_manifest
from introspect_bench.benchmark.suite.suite import Suite, open_suite
from introspect_bench.tasks.feature_descriptions.build.draft import (
    ContextFeature,
    Definition,
    describe_split,
    write_split,
)
from introspect_bench.tasks.feature_descriptions.build.search import Described
from introspect_bench.tasks.feature_descriptions.judge.conjunctions import join
from introspect_bench.tasks.feature_descriptions.judge.judges import KNOWN, judge_id, stored

NAME = "feature-descriptions"
D_TARGET = 4
N_TOKENS = 8
COUNTS = {"train": 12, "validation": 6, "test": 9}
KINDS = ("context-token", "bigram", "token")
WORDS = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen")
"""Word `i` means token `i`."""
MARK = 10

Ids = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]


class Counting:
    """Predicts 9 on the tokens whose word comes first in a description and, where it has another,
    only two tokens after that; 1 everywhere where it says `every`."""

    name, sha256 = "counting-v1", "cd" * 32

    def __init__(self, kind: str = EXACT) -> None:
        self.kind = kind

    @property
    def id(self) -> str:
        return judge_id(self.kind, self.name, self.sha256)

    def predict(self, descriptions: Sequence[str], windows: Ids) -> Floats:
        found = np.zeros(windows.shape, dtype=np.float32)
        for row, text in enumerate(descriptions):
            found[row] = 1.0 if "every" in text else 0.0
            said = sorted((text.index(w), token) for token, w in enumerate(WORDS) if w in text)
            if said:
                held = windows[row] == said[0][1]
                for _, token in said[1:]:
                    held[:, 2:] &= windows[row][:, :-2] == token
                    held[:, :2] = False
                found[row][held] = 9
        return found

    def find(self, texts: Sequence[str], windows: Ids) -> list[dict[str, str]]:
        found = [{"predicted": stored(row)} for row in self.predict(texts, windows)]
        if self.kind != EXACT:
            return found
        how = ["grammar" if any(word in text for word in WORDS) else "none" for text in texts]
        return [row | {"mapped": name} for row, name in zip(found, how, strict=True)]


def judges() -> list[Any]:
    return [Counting()]


def open_judges(_suite: Any, *, names: Any, **_more: Any) -> list[Any]:
    """In place of those of the package, which are language models."""
    return [judge for judge in judges() if judge.id.partition("/")[0] in names]


def active(kind: str, ids: Ids, token: int) -> Floats:
    """3 on a token, of a feature of context only two tokens after the next one of the alphabet."""
    held = ids == token
    if kind != "token":
        held[:, 2:] &= ids[:, :-2] == (token + 1) % N_TOKENS
        held[:, :2] = False
    return np.where(held, np.float32(3), np.float32(0))


def windows_of(kind: str, token: int, rng: np.random.Generator) -> dict[str, Any]:
    """Windows with all that is written of them; eight of sixteen are marked, of a token none."""
    before, marked = (token + 1) % N_TOKENS, 0 if kind == "token" else 8
    ids = rng.integers(N_TOKENS, size=(16, 32)).astype(np.int32)
    strong = np.arange(16) < marked // 2
    if marked:
        ids[:marked, MARK - 2] = np.where(strong[:marked], before, token)
        ids[:marked, MARK - 1 : MARK + 1] = (before + 1) % N_TOKENS, token
    half = (16 + marked) // 2
    ids[marked:half, 3], ids[marked:half, 5] = before, token
    ids[half:][ids[half:] == token] = before
    shares = np.repeat([0.2, 0.8], half - marked) / (half - marked)
    return {
        "ids": ids,
        "activations": active(kind, ids, token).astype(np.float16),
        "marks": np.where(np.arange(16) < marked, MARK, -1).astype(np.int8),
        "strong": strong,
        "pair_group": np.where(np.arange(16) < marked, 0, -1).astype(np.int8),
        "weights": np.append(np.zeros(marked), shares).astype(np.float32),
    }


def feature(split: str, number: int) -> ContextFeature:
    """A feature of one word, of kinds in turn."""
    rng = np.random.default_rng([len(split), number])
    token, kind = number % N_TOKENS, KINDS[number % 3]
    vector = rng.normal(size=D_TARGET)
    vector[token % D_TARGET] += 4
    word, other = WORDS[token], WORDS[(token + 1) % N_TOKENS]
    said, name = f"the word '{word}'", f"word:{word}"
    if kind != "token":
        said = f"{said} two words after '{other}'"
        name = join((name, f"second-previous-word:{other}"))
    return ContextFeature(
        kind=kind,
        layer=number % 2,
        group=f"{split}:{number}",
        vector=(vector / np.linalg.norm(vector)).astype(np.float16),
        descriptions=(said, f"{said}!", f"activates on {said}"),
        described=Described(
            feature=number,
            name=name,
            r_search=0.9,
            r_held_out=0.8,
            token_r=0.3,
            bigram_r=0.4,
            active=100,
            token_auroc=0.9,
            token_pairs=8,
            bigram_auroc=0.8 if kind == "bigram" else float("nan"),
            bigram_pairs=4,
        ),
        nearest_train=0.0,
        definition=Definition(
            mean=np.zeros(D_TARGET, dtype=np.float32),
            cap=1.0,
            encoder=vector.astype(np.float32),
            bias=0.0,
            threshold=0.5,
            token=np.zeros((16, 32), dtype=np.float32),
        ),
        **windows_of(kind, token, rng),
    )


def features_of(split: str) -> list[ContextFeature]:
    """The features of a split, each with its cosine to the nearest training one."""
    train = np.stack([feature("train", n).vector for n in range(COUNTS["train"])]).astype("f4")
    found = []
    for number in range(COUNTS[split]):
        one = feature(split, number)
        cosines = np.sort(train @ one.vector.astype(np.float32))
        near = cosines[-2 if split == "train" else -1]
        found.append(replace(one, nearest_train=float(near)))
    return found


def make_feature_suite(root: Path, **changes: Any) -> Suite:
    """Write a whole suite whose judge is `Counting`."""
    task = get_task(NAME)
    counts: dict[str, Mapping[str, int]] = {
        split: write_split(root / split, NAME, features_of(split)) for split in COUNTS
    }
    write_jsonl_atomic(root / KNOWN, [{"name": f"word:{word}"} for word in WORDS])
    ids = [row["id"] for _, row in read_jsonl(root / "validation" / "queries.jsonl")]
    fields = {
        "suite": "toy",
        "task": NAME,
        "version": task.version,
        "frozen": True,
        "truth": "descriptions",
        "judges": {EXACT: Counting().id},
        "target": {"name": "toy-target", "d_model": D_TARGET, "weights_sha256": {}},
        "splits": counts,
        "mini": sorted(ids[:2]),
        "prompt_sha256": task.prompt_sha256,
        "seed": 0,
        "doctor": {"identity_patch": "pass"},
        "statistics": {
            **{split: describe_split(root, split) for split in COUNTS},
            "judge": {"test": {"headline": QUALITY}},
        },
    }
    write_manifest(root, fields | changes)
    return open_suite(root)


QUALITY = {
    "exact": {"r": 0.9, "auroc": 1.0},
    "wording": {"r": 0.9, "auroc": 0.95},
    "shuffled": {"r": 0.0, "auroc": 0.5},
    "empty": {"r": 0.0, "auroc": 0.5},
    "denied": {"r": -0.1, "auroc": 0.2},
    "mapped": {"grammar": 1.0, "nearest": 0.0},
}
