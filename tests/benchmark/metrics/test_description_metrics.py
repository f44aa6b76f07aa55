"""Metrics of descriptions, against values worked out by hand."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from tiny_tables import DESCRIBED

from introspect_bench.benchmark.metrics import descriptions as description_metrics
from introspect_bench.benchmark.metrics.descriptions import DescriptionTable
from introspect_bench.benchmark.metrics.verdicts import METRICS, evaluate

COLUMNS = [column.name for column in fields(DescriptionTable)]


def test_descriptions_worked_out_by_hand() -> None:
    assert evaluate("matched_auroc", DESCRIBED) == 2.5 / 8  # two have no matched tokens
    assert evaluate("weighted_r", DESCRIBED) == 2.4 / 10
    weights = np.array([2.0, 2, 0, 0, 3, 0, 0, 0, 1, 1])
    assert METRICS["matched_auroc"](DESCRIBED, weights) == pytest.approx((1 - 0.5) / 6)
    assert METRICS["weighted_r"](DESCRIBED, weights) == pytest.approx(0.8 / 9)


def test_features_without_matched_tokens_have_no_auroc() -> None:
    alone = replace(DESCRIBED, marked=np.zeros(10, dtype=np.bool_))
    assert np.isnan(evaluate("matched_auroc", alone))
    assert evaluate("weighted_r", alone) == 0.24


def test_tables_of_descriptions_are_checked() -> None:
    with pytest.raises(ValueError, match="different length"):
        replace(DESCRIBED, marked=np.zeros(3, dtype=np.bool_))
    with pytest.raises(ValueError, match="gaps"):
        replace(DESCRIBED, group=np.full(10, 2))
    nothing: dict[str, Any] = {name: np.zeros(0, dtype=np.int64) for name in COLUMNS}
    with pytest.raises(ValueError, match="no queries"):
        replace(DESCRIBED, **nothing)
    for metric in description_metrics.METRICS.values():
        with pytest.raises(ValueError, match="no weight"):
            metric(DESCRIBED, np.zeros(10))
