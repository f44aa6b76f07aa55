"""Metrics of descriptions, against values worked out by hand."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from tiny_tables import DESCRIBED

from introspect_bench.benchmark import description_metrics
from introspect_bench.benchmark.description_metrics import DescriptionTable
from introspect_bench.benchmark.metrics import METRICS, evaluate

COLUMNS = [column.name for column in fields(DescriptionTable)]


def test_descriptions_worked_out_by_hand() -> None:
    assert evaluate("pearson", DESCRIBED) == 2.75 / 10
    assert evaluate("pearson_of_reference", DESCRIBED) == (2.75 / 10) / (7 / 10)
    assert evaluate("detection_auroc", DESCRIBED) == 5.5 / 10
    assert evaluate("similarity", DESCRIBED) == 2.86 / 10
    assert evaluate("pearson_predicates", DESCRIBED) == 2.4 / 10
    weights = np.array([2.0, 2, 0, 0, 0, 0, 0, 0, 1, 1])
    assert METRICS["pearson"](DESCRIBED, weights) == pytest.approx((0.5 * 2 - 0.25 * 2) / 6)


def test_a_share_of_nothing_has_no_value() -> None:
    hopeless = replace(DESCRIBED, of_reference=np.full(10, -1))
    assert np.isnan(evaluate("pearson_of_reference", hopeless))
    assert evaluate("pearson", hopeless) == 0.275


def test_tables_of_descriptions_are_checked() -> None:
    with pytest.raises(ValueError, match="different length"):
        replace(DESCRIBED, detection=np.zeros(3, dtype=np.int64))
    with pytest.raises(ValueError, match="gaps"):
        replace(DESCRIBED, group=np.full(10, 2))
    with pytest.raises(ValueError, match="no queries"):
        replace(DESCRIBED, **{name: np.zeros(0, dtype=np.int64) for name in COLUMNS})
    for metric in description_metrics.METRICS.values():
        with pytest.raises(ValueError, match="no weight"):
            metric(DESCRIBED, np.zeros(10))
