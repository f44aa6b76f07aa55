"""data nulls: every null's score in one table, from the manifests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from program import Call, refused, succeeded
from tiny_suites import make_suite

from introspect_bench.benchmark.errors import CheckFailedError
from introspect_bench.benchmark.registry import get_task
from introspect_bench.tasks.nulls.command import check_nulls


def test_one_table_has_every_null_of_every_task(call: Call) -> None:
    out = succeeded(call("data", "nulls", "--suite", "toy"))
    head, *rows = out.splitlines()
    assert head.split() == [
        *("suite", "task", "access", "balanced_exact_match", "kind_mean", "null"),
    ]
    assert [row.split() for row in rows] == [
        ["toy", "activation-patching", "words", "10.0", "text"],
        ["toy", "input-ablations", "words", "10.0", "text"],
    ]
    out = succeeded(call("data", "nulls", "--suite", "toy", "-t", "input-ablations", "--json"))
    (row,) = json.loads(out)["nulls"]
    assert row["metrics"] == {"kind_mean": 0.1}


def test_markdown_is_for_data_cards(call: Call) -> None:
    out = succeeded(call("data", "nulls", "--suite", "toy", "-t", "input-ablations", "--markdown"))
    assert out.splitlines() == [
        "| null | access | kind_mean |",
        "|---|---|---:|",
        "| text | words | 10.0 |",
    ]


def test_a_suite_without_nulls_is_a_sentence(call: Call, here: Path) -> None:
    task = get_task("activation-patching")
    make_suite(here / "bare" / task.name / task.version, task, nulls={})
    assert "no suite here has nulls" in refused(call("data", "nulls", "--suite", "bare"), 2)


@pytest.mark.parametrize(("value", "fails"), [(0.105, False), (0.12, True), (None, True)])
def test_a_refit_that_scores_otherwise_fails(value: float | None, fails: bool) -> None:
    row = {"suite": "s", "task": "t", "version": "v", "name": "text", "access": "words"}
    rows = [row | {"metrics": {"kind_mean": value}, "said": {"kind_mean": 0.1}}]
    rows.append(row | {"metrics": {"kind_mean": 0.9}, "said": None})
    if not fails:
        check_nulls(rows)
        return
    with pytest.raises(CheckFailedError, match=r"the manifest says 0\.1"):
        check_nulls(rows)
