"""An explainer that was trained on the public test split is found by fresh queries.

Its answers can be learnt by heart only: whether and to what a text changes is drawn by chance.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_suites
from program import ABLATIONS, Call
from tiny_entries import make_entry
from tiny_models import make_model, make_tokenizer

import introspect_bench as ib
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.suite.freeze import Measured

GROUPS = {"train": 60, "validation": 12, "test": 60}


def by_chance(texts: str) -> Any:
    """Groups of two queries; `texts` and chance say which of the two changes, and to what."""

    def group(_task: Any, split: str, number: int) -> list[Measured]:
        rng = np.random.default_rng([ord(texts), len(split), number])
        kind, members = ("hint", "context")[number % 2], []
        for changed in rng.permutation([False, True]):
            word = "".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 6))
            clean, other = rng.choice(tiny_suites.CITIES[:4], 2, replace=False)
            members.append(
                Measured(
                    kind=kind,
                    fields={
                        "text": f"{word}. Ann lives in",
                        "chat": False,
                        "answer_prefix": "",
                        "removed": word,
                        "span": [0, len(word)],
                        "answer_form": "text",
                        "relation": "city",
                    },
                    clean=str(clean),
                    outcome=str(other if changed else clean),
                    clean_ids=[1],
                    outcome_ids=[2 if changed else 1],
                    margin=1.5,
                )
            )
        return members

    return group


def make_suites(folder: Path, patch: pytest.MonkeyPatch, **texts: str) -> Path:
    """A suite of which each split is named by the letter its texts are drawn from."""

    def group(task: Any, split: str, number: int) -> list[Measured]:
        # a split with the letter of another has the texts of that split
        return list(by_chance(texts[split])(task, "of-a-letter", number))

    patch.setattr(tiny_suites, "_group", group)
    patch.setattr(tiny_suites, "N_GROUPS", {split: GROUPS[split] for split in texts})
    task = get_task(ABLATIONS)
    tiny_suites.make_suite(folder / ABLATIONS / task.version, task, list(texts))
    return folder


@pytest.mark.slow
def test_who_was_trained_on_the_test_split_is_found(
    call: Call, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = make_suites(here / "public", monkeypatch, train="a", validation="b", test="c")
    stolen = make_suites(here / "stolen", monkeypatch, train="c", validation="c", test="d")
    make_suites(here / "fresh", monkeypatch, test="e")
    tokenizer = make_tokenizer()
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "head_dim": 16}
    make_model("llama", tokenizer, max_position_embeddings=4096, **sizes).save_pretrained("base")
    tokenizer.save_pretrained("base")
    options: dict[str, Any] = {"epochs": 60, "batch_size": 16, "accumulation": 1, "evaluations": 6}
    options |= {"learning_rate": 3e-3, "patience": 9, "precision": "float32", "method": "full"}
    ib.train("base", here / "thief", suite=str(stolen), tasks=[ABLATIONS], **options)
    words = ("-m", "thief", "--suite", str(public), "-t", ABLATIONS, "-o", "out")
    assert call("run", *words)[0] == 0
    (run,) = Path("out").glob("*.jsonl")
    result = ib.score(run, suite=str(public))
    print(result["overall"]["metrics"])
    entry = make_entry([run], Path("submissions"), public, kind="trained", trained_on=["texts"])
    code, out, err = call(
        "recheck", str(entry), "-m", "thief", "--suite", str(public), "--fresh", "fresh"
    )
    print(code, out, err)
    assert code == 1
