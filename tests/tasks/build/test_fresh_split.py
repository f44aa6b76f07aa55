"""A test split made anew, and by which train its queries are chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_builds import SIZES, load, load_rounded, order, quiet

from introspect_bench.benchmark.backends.interventions.calculator import Calculator
from introspect_bench.benchmark.scoring.scale import CALCULATOR
from introspect_bench.benchmark.suite.freeze import query_id
from introspect_bench.benchmark.suite.suite import open_suite
from introspect_bench.tasks.activation_patching.build import build as patching
from introspect_bench.tasks.build import make
from introspect_bench.tasks.build.make import make_suite
from introspect_bench.tasks.build.order import FRESH
from introspect_bench.tasks.input_ablations.build import build as ablations
from introspect_bench.tasks.nulls.run import suite_nulls

pytestmark = pytest.mark.usefixtures("small_world")


def test_a_fresh_test_is_of_reserve_facts_and_asks_the_public_train(
    made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = "input-ablations"
    asked: list[str | None] = []
    make_split = ablations.make_split

    def of_reserve(*given: Any, facts: str | None = None, **named: Any) -> Any:
        asked.append(facts)
        return make_split(*given, facts="test", **named)  # the small world has no reserve

    monkeypatch.setattr(ablations, "make_split", of_reserve)
    (tmp_path / task).mkdir()
    sizes = {**SIZES[task], FRESH: {"hint": 4, "context": 4, "which": 4}}
    wanted = order(task, tmp_path, seed=1, public=made[task], nulls=True, sizes=sizes)
    make_suite(wanted, load, load_rounded, quiet)
    suite = open_suite(wanted.out)
    suite.verify()
    assert asked == ["reserve"]
    assert suite.splits == ("test",)
    kinds = {query.kind for query in suite.queries("test")}
    assert kinds <= {"hint", "context", "which"}  # SIZES of test have more
    assert f"test: queries is {len(suite.queries('test'))}, allowed 800" in " ".join(
        suite.manifest["bars_missed"]
    )
    nulls = suite.manifest["nulls"]
    assert nulls == suite_nulls(
        suite,
        splits=["test"],
        train=open_suite(made[task]),
        calculator=Calculator(load(), make.CALCULATOR_ROWS),
    )
    assert nulls["test"][-1]["name"] == CALCULATOR


def test_patching_chooses_validation_and_test_by_rules_fitted_on_train(
    made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fresh test is chosen by the public suite's train, a whole suite by its own."""
    task = "activation-patching"
    given: dict[str, list[str]] = {}
    make_split = patching.make_split

    def watched(job: Any, *, known: Any = (), **named: Any) -> Any:
        given[job.split] = [query_id(task, one) for group in known for one in group]
        return make_split(job, known=known, **named)

    monkeypatch.setattr(patching, "make_split", watched)
    train = sorted(query.id for query in open_suite(made[task]).queries("train"))
    for name, public in (("whole", None), ("fresh", made[task])):
        given.clear()
        (tmp_path / name / task).mkdir(parents=True)
        make_suite(order(task, tmp_path / name, public=public), load, load_rounded, quiet)
        assert given.pop("train", []) == []
        assert sorted(given) == (["test"] if public else ["test", "validation"])
        for known in given.values():
            assert sorted(known) == train
