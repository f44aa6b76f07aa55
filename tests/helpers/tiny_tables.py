"""Scored queries as columns, made by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from introspect_bench.benchmark.metrics.descriptions import UNIT, DescriptionTable
from introspect_bench.benchmark.metrics.verdicts import ScoreTable


def make_table(
    exact: list[int],
    content: list[int],
    true: list[int],
    pred: list[int],
    group: list[int],
    kind: list[str] | None = None,
) -> ScoreTable:
    return ScoreTable(
        exact=np.array(exact, dtype=np.bool_),
        content=np.array(content, dtype=np.bool_),
        true_changed=np.array(true, dtype=np.bool_),
        pred_changed=np.array(pred, dtype=np.int8),
        kind=np.array(kind or ["k"] * len(exact), dtype=np.str_),
        group=np.array(group, dtype=np.int64),
    )


def answers(
    exact: Sequence[int],
    *,
    groups: Sequence[int] | None = None,
    changed: Sequence[int] = (),
    kinds: Sequence[str] = (),
) -> ScoreTable:
    """Verdict and content are right or wrong together; each query its own group by default."""
    hit = np.array(exact, dtype=np.bool_)
    true = np.array(changed or [1] * len(hit), dtype=np.bool_)
    return ScoreTable(
        exact=hit,
        content=hit,
        true_changed=true,
        pred_changed=np.where(hit, true, ~true).astype(np.int8),
        kind=np.array(list(kinds) or ["k"] * len(hit)),
        group=np.array(groups if groups is not None else range(len(hit)), dtype=np.int64),
    )


def described(auroc: Sequence[float]) -> DescriptionTable:
    column = np.array([round(value * UNIT) for value in auroc])
    return DescriptionTable(
        matched_auroc=column,
        marked=np.ones(len(column), dtype=np.bool_),
        weighted_r=column,
        group=np.arange(len(column)),
    )


# Two groups of four and one of two; the last two queries have no answer.
TABLE = make_table(
    exact=[1, 1, 1, 1, 1, 0, 0, 0, 0, 0],
    content=[1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
    true=[1, 1, 0, 0, 1, 1, 0, 1, 0, 1],
    pred=[1, 1, 0, 0, 1, 0, 1, 1, -1, -1],
    group=[0, 0, 0, 0, 1, 1, 1, 1, 2, 2],
)

# Both classes of hints and contexts, and three that ask for a part.
KINDED = make_table(
    exact=[1, 1, 0, 0, 1, 1, 0, 1, 1, 0, 0],
    content=[1, 1, 1, 0, 1, 1, 0, 1, 1, 0, 0],
    true=[1, 0, 1, 0, 1, 0, 1, 0, 1, 1, 1],
    pred=[1, 0, 0, 1, 1, 0, -1, 0, -1, -1, -1],
    group=[0, 0, 0, 1, 1, 1, 2, 2, 0, 1, 2],
    kind=[*["hint"] * 4, *["context"] * 4, *["which"] * 3],
)

# Ten features in six groups, two without marks; the last two have no description.
DESCRIBED = DescriptionTable(
    matched_auroc=np.array(
        [500_000, -250_000, 1_000_000, 125_000, 0, 375_000, 750_000, 250_000, 0, 0]
    ),
    marked=np.array([1, 1, 1, 1, 0, 1, 1, 0, 1, 1], dtype=np.bool_),
    weighted_r=np.array([400_000, 0, 900_000, 0, 0, 300_000, 800_000, 0, 0, 0]),
    group=np.array([0, 0, 1, 1, 2, 3, 4, 4, 5, 5]),
)
