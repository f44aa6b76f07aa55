"""What a user takes into Python: a split's queries, vectors and answers; tables of pandas."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from program import ABLATIONS, PATCHING

import introspect_bench as ib
from introspect_bench.benchmark.errors import MissingPartError
from introspect_bench.benchmark.suite.select import find_suite

KEYS = ["explainer", "task", "split"]


@pytest.mark.parametrize("split", ["train", "mini", "test"])
def test_a_split_is_three_lists_in_one_order(split: str) -> None:
    data = ib.data_split(PATCHING, split, suite="toy")
    assert data.vectors is not None
    assert len(data.queries) == len(data.vectors) == len(data.answers) > 0
    suite = find_suite("toy", PATCHING)
    truth, vectors = suite.truth(split), suite.vectors(split)
    for query, vector, answer in zip(data.queries, data.vectors, data.answers, strict=True):
        assert query.vector is not None
        assert np.array_equal(vector, vectors[query.vector])
        assert answer == truth[query.id].answer
    assert ib.data_split(ABLATIONS, split, suite=Path("toy")).vectors is None


def test_scores_and_runs_become_tables_that_can_be_put_together() -> None:
    pandas = pytest.importorskip("pandas")
    for name in ("constant", "unchanged"):
        ib.run(f"baseline/{name}", suite="toy", output="runs")
    scores = ib.to_pandas(ib.score_all("runs", suite="toy"))
    overall = scores[(scores.part == "overall") & (scores.metric == "verdict_accuracy")]
    assert len(overall) == 4
    one = ib.score(next(Path("runs").glob(f"*constant*{ABLATIONS}*.jsonl")), suite="toy")
    found = overall[(overall.task == ABLATIONS) & (overall.explainer == "baseline/constant")]
    assert found.value.item() == one["overall"]["metrics"]["verdict_accuracy"]["value"]
    assert [found.low.item(), found.high.item()] == one["overall"]["metrics"]["verdict_accuracy"][
        "interval_95"
    ]
    replies, rows = ib.to_pandas("runs"), ib.to_pandas(ib.show("runs", suite="toy"))
    assert len(replies) == len(rows) == 2 * (12 + 15)
    for table in (scores, replies, rows):
        assert isinstance(table, pandas.DataFrame)
        assert list(table.columns[:3]) == KEYS
        assert not table[KEYS].isna().any(axis=None)
    means = rows.groupby(KEYS).exact.mean()
    assert means["baseline/constant", ABLATIONS, "test"] >= 0
    assert len(ib.to_pandas(ib.load(next(Path("runs").glob(f"*constant*{PATCHING}*.jsonl"))))) == 12


def test_without_pandas_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingPartError, match="needs pandas; pip install pandas"):
        ib.to_pandas([])
