"""What a suite of others may lack, and what ours may not: ids, margins, splits, self-tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.metrics.bootstrap import margin_of
from introspect_bench.benchmark.metrics.verdicts import METRICS, ScoreTable
from introspect_bench.benchmark.records import GroundTruth, Scored
from introspect_bench.benchmark.suite.manifest import FOREIGN
from introspect_bench.benchmark.suite.suite import Suite

Freeze = Callable[..., Suite]
FROM: dict[str, Any] = {"imported": {"dataset": "org/data"}, "frozen": False, "mini": []}


def alone(suite: Suite, *splits: str) -> dict[str, Any]:
    return {"splits": {split: suite.manifest["splits"][split] for split in splits}}


@pytest.mark.parametrize("splits", [("test",), ("train", "test"), ("train",)])
def test_an_imported_suite_has_the_splits_it_has(
    toy_suite: Suite, freeze: Freeze, splits: tuple[str, ...]
) -> None:
    suite = freeze(toy_suite.root, **FROM, **alone(toy_suite, *splits), doctor=FOREIGN)
    assert suite.splits == splits
    with pytest.raises(UsageError, match="as an import"):
        suite.queries("validation")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"imported": None}, "field imported"),
        ({"imported": {}, "frozen": True}, "field frozen: an imported suite is none"),
        ({"imported": {}, "doctor": {"identity-patch": "foreign"}}, "field doctor"),
        ({"doctor": FOREIGN}, "field doctor"),
        ({"splits": {"train": {}, "test": {}}}, "field splits.validation is missing"),
    ],
)
def test_ours_may_not(toy_suite: Suite, freeze: Freeze, changes: Any, said: str) -> None:
    more = FROM if "imported" in changes else {}
    with pytest.raises(IntegrityError, match=said):
        freeze(toy_suite.root, **{**more, **(alone(toy_suite, "test") if more else {}), **changes})


def test_truth_without_ids_and_margins_is_read(toy_suite: Suite, freeze: Freeze) -> None:
    path = toy_suite.root / "test" / "truth.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    empty = {"clean_ids": None, "outcome_ids": None, "margin": None}
    path.write_text("".join(json.dumps(line | empty) + "\n" for line in lines))
    suite = freeze(toy_suite.root)
    truth = suite.truth("test")
    assert {(one.clean_ids, one.outcome_ids, one.margin) for one in truth.values()} == {
        (None, None, None)
    }
    query = suite.queries("test")[0]
    assert margin_of(Scored(query=query, raw="", answer=None, truth=truth[query.id])) == ""


@pytest.mark.parametrize("text", ["\n", '"', " "])
def test_outputs_need_no_letter(text: str) -> None:
    one = GroundTruth(
        id="0" * 16, clean="P", outcome=text, clean_ids=None, outcome_ids=None, margin=None
    )
    assert one.changed


def test_a_group_of_one_has_no_consistency() -> None:
    def consistency(group: list[int]) -> float:
        n = len(group)
        table = ScoreTable(
            exact=np.array([True, *[False] * (n - 1)]),
            content=np.ones(n, dtype=np.bool_),
            true_changed=np.ones(n, dtype=np.bool_),
            pred_changed=np.ones(n, dtype=np.int8),
            kind=np.full(n, "x"),
            group=np.array(group),
        )
        return float(METRICS["group_consistency"](table, np.ones(n)))

    assert np.isnan(consistency([0, 1, 2]))
    assert consistency([0, 1, 1]) == 0  # the group of one is right, and does not count
    assert consistency([0, 1, 1, 2, 2]) == 0
