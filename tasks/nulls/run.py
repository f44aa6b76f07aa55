"""Nulls of a suite: fitted on its train, or on another suite's, measured on other splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...benchmark.registry import get_task
from ...benchmark.scoring.scale import CALCULATOR
from ...benchmark.suite.suite import Suite
from ..calculate import calculated_metrics
from .ablations import Embed, fit_ablations
from .bars import ABLATIONS
from .columns import Columns, read_columns
from .null import REPLAYS, Null
from .patching import fit_patching
from .replays import Target, fit_replays, places

if TYPE_CHECKING:
    from ...benchmark.backends.interventions.calculator import Calculator

DIGITS = 4  # metrics are stored with so many digits
MEASURED = ("validation", "test")  # splits that nulls are measured on

Row = dict[str, Any]


def suite_nulls(
    suite: Suite,
    *,
    splits: Sequence[str] = MEASURED,
    train: Suite | None = None,
    target: Target | None = None,
    embed: Embed | None = None,
    calculator: Calculator | None = None,
) -> dict[str, list[Row]]:
    """Return what every null scores: by split, rows of `name`, `access`, `rule`, `metrics`.

    Raises IntegrityError: a file is not what the manifest says.
    """
    kinds = get_task(suite.task).headline_kinds
    learnt = _read(train or suite, "train", kinds)
    others = {split: _read(suite, split, kinds) for split in splits}
    found = fit_nulls(suite.task, learnt, others, target, embed)
    if calculator is not None:
        found.append(_calculated(calculator, suite, splits))
    return {split: rows_of(found, split) for split in splits}


def fit_nulls(
    task: str,
    train: Columns,
    others: Mapping[str, Columns],
    target: Target | None = None,
    embed: Embed | None = None,
) -> list[Null]:
    """Fit every null of a causal task."""
    if task == ABLATIONS:
        return fit_ablations(train, others, embed)
    if target is not None:
        train = with_originals(train, target)
        others = {name: with_originals(part, target) for name, part in others.items()}
    found = fit_patching(train, others)
    if target is not None:
        found.append(fit_replays(train, others, target))
    return found


def _calculated(calculator: Calculator, suite: Suite, splits: Sequence[str]) -> Null:
    task = get_task(suite.task)
    return Null(
        name=CALCULATOR,
        access=REPLAYS,
        rule=f"carries the intervention out, {calculator.batch_size} rows a batch",
        metrics={split: calculated_metrics(calculator, task, suite, split) for split in splits},
    )


def with_originals(columns: Columns, target: Target) -> Columns:
    """Return the columns with what stood at each query's place in the clean run."""
    return replace(columns, original=target.unpatched(*places(columns)))


def rows_of(nulls: Sequence[Null], split: str) -> list[Row]:
    """Return nulls as a manifest holds them."""
    return [
        {
            "name": null.name,
            "access": null.access,
            "rule": null.rule,
            "metrics": {
                name: None if value is None else round(value, DIGITS)
                for name, value in null.metrics[split].items()
            },
        }
        for null in nulls
    ]


def _read(suite: Suite, split: str, kinds: Sequence[str] | None) -> Columns:
    columns = read_columns(suite, split)
    if kinds is None:
        return columns
    return columns.take(np.isin(columns.kind.astype(str), list(kinds)))
