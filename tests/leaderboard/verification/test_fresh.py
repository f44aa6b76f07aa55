"""Fresh suites of test alone: read, refused elsewhere, and completed with the public train."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_suites

from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.files import read_json, write_json_atomic
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.suite.suite import Suite, open_suite
from introspect_bench.leaderboard.verification.fresh import completed
from introspect_bench.tasks.build.verify import verify_suite

TASK = get_task("activation-patching")


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Suite:
    with monkeypatch.context() as patch:
        patch.setattr(tiny_suites, "TEXT", tiny_suites.TEXT.replace("city", "town"))
        return open_suite(tiny_suites.make_suite(tmp_path / "fresh", TASK, ["test"]))


def test_a_suite_of_test_alone_is_whole(fresh: Suite) -> None:
    verify_suite(TASK, fresh)
    assert fresh.splits == ("test",)
    assert len(fresh.queries("test")) == 12


@pytest.mark.parametrize("split", ["train", "validation", "mini"])
def test_it_has_no_other_split(fresh: Suite, split: str) -> None:
    with pytest.raises(UsageError, match=f"has no split {split}: it was made with test alone"):
        fresh.queries(split)


@pytest.mark.parametrize("splits", [["train"], ["test", "validation"], []])
def test_any_other_part_is_refused(fresh: Suite, splits: list[str]) -> None:
    path = fresh.root / "manifest.json"
    counts = fresh.manifest["splits"]["test"]
    write_json_atomic(path, read_json(path) | {"splits": dict.fromkeys(splits, counts)})
    with pytest.raises(IntegrityError, match=r"splits\.t"):
        open_suite(fresh.root)


def test_without_validation_there_is_no_mini(fresh: Suite) -> None:
    path = fresh.root / "manifest.json"
    write_json_atomic(path, read_json(path) | {"mini": ["0" * 16]})
    with pytest.raises(IntegrityError, match="mini"):
        open_suite(fresh.root)


def test_it_is_completed_with_the_public_train(fresh: Suite, tmp_path: Path) -> None:
    public = open_suite(tiny_suites.make_suite(tmp_path / "public", TASK))
    root = completed(public, fresh, tmp_path / "work") / TASK.name / TASK.version
    found = open_suite(root)
    verify_suite(TASK, found)
    for split, source in (("train", public), ("validation", public), ("test", fresh)):
        assert found.queries(split) == source.queries(split)
        assert found.truth(split) == source.truth(split)
        assert (found.vectors(split) == source.vectors(split)).all()
    assert found.queries("mini") == public.queries("mini")
