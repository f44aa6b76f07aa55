"""The script that splits contents by what rules name: parts add up, and truth is all of each."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tiny_reading import groups_of, make_reading_suite

import introspect_bench as ib
from introspect_bench.benchmark.records import Answer, Prompt
from introspect_bench.benchmark.suite.select import find_suite

FOLDER = Path(__file__).parents[3] / "docs" / "studies"
PATCHING = "activation-patching"


class Told:
    """Says the right content, but for those queries that it is not to know."""

    def __init__(self, suite: Path, unknown: Sequence[str] = ()) -> None:
        self.answers = find_suite(str(suite), PATCHING).answers("test")
        self.unknown, self.identity = set(unknown), ",".join(unknown)

    def complete(self, prompts: Sequence[Prompt]) -> list[str]:
        said = []
        for prompt in prompts:
            truth: Any = self.answers[prompt.query.id]
            known = prompt.query.id not in self.unknown
            said.append(f"changed: {truth.content if known else 'nowhere'}")
        return said


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("split")


def test_parts_are_all_of_the_changed_queries(
    study: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    splits = {name: groups_of(name, 12) for name in ("train", "test")}
    make_reading_suite(tmp_path / "toy", splits)
    suite = find_suite(str(tmp_path / "toy"), PATCHING)
    truths = suite.answers("test").items()
    changed = [key for key, truth in truths if isinstance(truth, Answer) and truth.changed]
    named = study.named_by_rules(suite, "test")
    assert [*named.rules] == changed
    hard = [key for key, rules in named.rules.items() if not rules]
    paths = []
    for name, unknown in (("all", []), ("easy", hard)):
        explainer = Told(tmp_path / "toy", unknown)
        options: dict[str, Any] = {"tasks": [PATCHING], "split": "test", "output": tmp_path / name}
        (run,) = ib.run(explainer, suite=str(tmp_path / "toy"), **options)
        paths.append(str(run.path))
    assert study.main([*paths, "--suite", str(tmp_path / "toy")]) == 0
    first, every, easy = capfd.readouterr().out.splitlines()
    assert first.startswith(f"{len(changed)} changed queries of test, {named.n_rules} rules")
    shares = re.findall(r"([\d.]+) of (\d+)", every)
    assert {share for share, _ in shares} == {"100.0"}
    parts = re.findall(r"rules?(?: or more)? ([\d.]+) of (\d+)", easy)
    assert sum(int(n) for _, n in parts) == len(changed)
    if hard:
        assert f"no rule 0.0 of {len(hard)}" in easy
