"""recheck --fresh: an explainer asked queries that did not exist when its entry was made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import tiny_suites
from program import ABLATIONS, Call, one_run, refused, succeeded, the_sentence
from tiny_entries import forge, make_entry, truth_instead
from tiny_submissions import tier_of

from introspect_bench.benchmark.records import SPLITS
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.suite.select import find_suite
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
