"""recheck --fresh: queries that did not exist when an entry was made find who learnt others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_suites
from program import ABLATIONS, Call, one_run, refused, succeeded, the_sentence
from tiny_entries import forge, make_entry, truth_instead
from tiny_models import save_model
from tiny_submissions import tier_of

import introspect_bench as ib
from introspect_bench.benchmark.records import SPLITS
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.suite.freeze import Measured
from introspect_bench.benchmark.suite.select import find_suite
from introspect_bench.leaderboard.verification import recheck
from introspect_bench.leaderboard.verification.fresh import MOST_GAP
from introspect_bench.leaderboard.verification.ledger import read_ledger

LEDGER = Path("submissions/ledger.jsonl")


def make_fresh(monkeypatch: pytest.MonkeyPatch, splits: Sequence[str] = SPLITS) -> None:
    """The toy suites with other texts, as `fresh`."""
    monkeypatch.setattr(tiny_suites, "TEXT", tiny_suites.TEXT.replace("city", "town"))
    tiny_suites.make_suite_folder(Path("fresh"), splits)


@pytest.mark.parametrize("splits", [SPLITS, ("test",)])
def test_a_fresh_suite_confirms_a_score(
    call: Call, here: Path, monkeypatch: pytest.MonkeyPatch, splits: Sequence[str]
) -> None:
    """Also one of test alone."""
    monkeypatch.setitem(tiny_suites.N_GROUPS, "test", 200)
    tiny_suites.make_suite(here / "toy" / ABLATIONS / "v2", get_task(ABLATIONS))
    entry = make_entry([one_run(call)], Path("submissions"), Path("toy"))
    make_fresh(monkeypatch, splits)
    words = ("recheck", str(entry), "--suite", "toy", "--fresh", "fresh")
    out = succeeded(call(*words))
    head, row = (line.split("  ") for line in out.splitlines()[:2])
    said = dict(
        zip(*([cell.strip() for cell in line if cell] for line in (head, row)), strict=True)
    )
    assert said["confirmed"] == "yes"
    assert (said["groups"], said["queries"]) == ("200 / 200", "1000 / 1000")
    assert said["interval"].startswith("[-0.0")
    (line,) = read_ledger(LEDGER)
    score = line.details["scores"][0]
    assert score["gap"] == score["public"] - score["fresh"]
    assert score["data_sha256"] == find_suite("fresh", ABLATIONS).data_sha256
    assert tier_of(entry, ABLATIONS) == 4


def test_whoever_learnt_the_public_queries_is_not_confirmed(
    call: Call, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = forge(entry, truth_instead)
    make_fresh(monkeypatch)
    code, out, err = call("recheck", str(folder), "--suite", "toy", "--fresh", "fresh")
    assert code == 1
    assert " no" in out
    assert "on public and" in the_sentence(err)
    assert "over 60 groups or more, here 3 and 3" in the_sentence(err)
    assert tier_of(folder, ABLATIONS) == 1


def test_public_queries_are_not_fresh(call: Call, entry: Path) -> None:
    assert "are public; make a fresh split with another seed" in refused(
        call("recheck", str(entry), "--suite", "toy", "--fresh", "toy"), 2
    )


def test_without_the_target_the_ledger_says_the_gap(
    call: Call, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_fresh(monkeypatch)
    words = ("recheck", str(entry), "--suite", "toy", "--fresh", "fresh")
    code, out, _ = call(*words, "--no-ledger", "--json")
    assert code == 1
    answer = json.loads(out)
    monkeypatch.setattr(recheck, "ask_without_target", lambda *_: answer)
    assert call(*words, "--without-target")[0] == 1
    (line,) = read_ledger(LEDGER)
    (score,) = answer["tasks"]
    assert f"public {score['public']:.3f}, fresh {score['fresh']:.3f} on 15 queries" in line.reason
    assert line.reason.endswith("], without the target's weights")
    assert (line.details["scores"], line.details["without_target"]) == ([score], True)


GROUPS = {"train": 60, "validation": 12, "test": 60}


def by_chance(letter: str, number: int) -> list[Measured]:
    """A group: of two queries one changes, by chance, and a third asks for a part, by chance."""
    rng = np.random.default_rng([ord(letter), number])
    members = []
    for changed in rng.permutation([False, True]):
        word = "".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 6))
        clean, other = rng.choice(tiny_suites.CITIES[:4], 2, replace=False)
        fields = {
            "text": f"{word}. Ann lives in",
            "chat": False,
            "answer_prefix": "",
            "removed": word,
            "span": [0, len(word)],
            "answer_form": "text",
            "relation": "city",
        }
        kind = ("hint", "context")[number % 2]
        said = (str(clean), str(other if changed else clean))
        members.append(tiny_suites.measured(*said, kind=kind, fields=fields))
    asked = {**tiny_suites._which(letter, number), "part": str(rng.choice(list("ABCD")))}
    return [*members, tiny_suites.measured("Paris", "Rome", **asked)]


def make_suites(folder: Path, patch: pytest.MonkeyPatch, **letters: str) -> Path:
    """A suite whose splits have the texts of their letters; the same letter, the same texts."""
    patch.setattr(tiny_suites, "_group", lambda _, split, number: by_chance(letters[split], number))
    patch.setattr(tiny_suites, "N_GROUPS", {split: GROUPS[split] for split in letters})
    task = get_task(ABLATIONS)
    tiny_suites.make_suite(folder / ABLATIONS / task.version, task, list(letters))
    return folder


@pytest.mark.slow
def test_who_was_trained_on_the_test_split_is_found(
    call: Call, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = make_suites(here / "public", monkeypatch, train="a", validation="b", test="c")
    stolen = make_suites(here / "stolen", monkeypatch, train="c", validation="c", test="d")
    make_suites(here / "fresh", monkeypatch, test="e")
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "head_dim": 16}
    save_model(here / "base", max_position_embeddings=4096, **sizes)
    options: dict[str, Any] = {"epochs": 60, "batch_size": 16, "accumulation": 1, "evaluations": 6}
    options |= {"learning_rate": 3e-3, "patience": 9, "precision": "float32", "method": "full"}
    ib.train("base", here / "thief", suite=str(stolen), tasks=[ABLATIONS], **options)
    words = ("-m", "thief", "--suite", str(public), "-t", ABLATIONS, "-o", "out")
    assert call("run", *words)[0] == 0
    (run,) = Path("out").glob("*.jsonl")
    entry = make_entry([run], Path("submissions"), public, kind="trained", trained_on=["texts"])
    words = ("recheck", str(entry), "-m", "thief", "--suite", str(public), "--fresh", "fresh")
    code, out, err = call(*words, "--json")
    (found,) = json.loads(out)["tasks"]
    assert found["public"] > 0.3
    assert found["gap_95"][0] > MOST_GAP  # not merely too wide to confirm
    assert found["public_n"] == found["fresh_n"] == [180, 60]
    assert code == 1
    assert "confirmed is a gap whose interval ends below 0.05" in the_sentence(err)
    assert tier_of(entry, ABLATIONS) == 1
