"""What a result says of descriptions besides its metrics: length, and what other judges found.

Owns checks that do not rank: the model-free simulator and language models as judges.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from introspect_bench.benchmark.describing import description_table
from introspect_bench.benchmark.intervals import bootstrap
from introspect_bench.benchmark.metrics import evaluate
from introspect_bench.benchmark.records import Described

_MEAN = "pearson_predicates"
"""The metric that is the plain mean of the column `predicates`."""


def describe_result(described: Sequence[Described], *, seed: int) -> dict[str, Any] | None:
    """Say what descriptions look like, and what judges that do not rank make of them.

    Args:
        described: scored descriptions.
        seed: of the bootstrap.

    Returns:
        None if there are none; else `mean_characters`, `distinct`, `truncated`,
        `pearson_predicates` (null unless the model-free simulator judged all) and `ratings`: for
        each language model that judged all, `value` and `interval_95` of the mean rating from 0 to
        1, where a query without a description counts 0, and `malformed`, replies of the judge that
        were no rating and count nowhere.
    """
    if not described:
        return None
    texts = [one.answer for one in described if one.answer is not None]
    judged = [one.predicates for one in described]
    return {
        "mean_characters": sum(len(one.text) for one in texts) / len(texts) if texts else None,
        "distinct": len({one.text for one in texts}),
        "truncated": sum(one.truncated for one in texts),
        "pearson_predicates": None if None in judged else _mean(described, judged, seed),
        "ratings": {
            judge: {
                **(_mean(described, [one.ratings[judge] for one in described], seed) or {}),
                "malformed": sum(one.ratings[judge] is None for one in described),
            }
            for judge in described[0].ratings
        },
    }


def _mean(
    described: Sequence[Described], values: Sequence[float | None], seed: int
) -> dict[str, Any] | None:
    """Mean of the values that exist, with its interval over groups."""
    kept = [
        dataclasses.replace(one, predicates=value)
        for one, value in zip(described, values, strict=True)
        if value is not None
    ]
    if not kept:
        return None
    table = description_table(kept)
    intervals = bootstrap(table, [_MEAN], rng=np.random.default_rng(seed))
    ends = None if intervals is None else list(intervals[_MEAN])
    usable = ends is not None and all(map(math.isfinite, ends))
    return {"value": evaluate(_MEAN, table), "interval_95": ends if usable else None}
