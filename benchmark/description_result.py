"""What a result says of descriptions besides its metrics: length, how they were read, other judges.

Owns what does not rank: how many descriptions the suite's judge could map to predicates, and what
simulators and language models as judges found.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from introspect_bench.benchmark.describing import description_table
from introspect_bench.benchmark.description_metrics import METRICS, DescriptionTable
from introspect_bench.benchmark.intervals import bootstrap
from introspect_bench.benchmark.judgements import MAPPED
from introspect_bench.benchmark.metrics import evaluate
from introspect_bench.benchmark.records import Described, Predicted


def describe_result(described: Sequence[Described], *, seed: int) -> dict[str, Any] | None:
    """Say what descriptions look like, and what judges that do not rank make of them.

    Args:
        described: scored descriptions.
        seed: of the bootstrap.

    Returns:
        None if there are none; else `mean_characters`, `distinct`, `truncated`; `mapped`: the share
        of descriptions that the suite's judge read by each of `MAPPED`, null without a description;
        `judges`: for each other judge of the whole run `value` and `interval_95` of every metric;
        and `ratings`: for each language model that judged all, those of the mean rating from 0 to
        1, where a query without a description counts 0, and `malformed`, replies of the judge that
        were no rating and count nowhere.
    """
    if not described:
        return None
    texts = [one.answer for one in described if one.answer is not None]
    how = Counter(one.mapped for one in described)
    return {
        "mean_characters": sum(len(one.text) for one in texts) / len(texts) if texts else None,
        "distinct": len({one.text for one in texts}),
        "truncated": sum(one.truncated for one in texts),
        "mapped": {name: how[name] / len(texts) for name in MAPPED} if texts else None,
        "judges": {
            judge: {
                name: _value(name, description_table(described, judge), seed) for name in METRICS
            }
            for judge in described[0].others
        },
        "ratings": {
            judge: {
                **_mean_rating(described, judge, seed),
                "malformed": sum(one.ratings[judge] is None for one in described),
            }
            for judge in described[0].ratings
        },
    }


def _mean_rating(described: Sequence[Described], judge: str, seed: int) -> dict[str, Any]:
    """Mean of the ratings that exist, with its interval over groups."""
    kept = [
        dataclasses.replace(one, found=Predicted(matched_auroc=None, weighted_r=value))
        for one in described
        if (value := one.ratings[judge]) is not None
    ]
    # the plain mean of that column
    return _value("weighted_r", description_table(kept), seed) if kept else {}


def _value(name: str, table: DescriptionTable, seed: int) -> dict[str, Any]:
    value = evaluate(name, table)
    intervals = bootstrap(table, [name], rng=np.random.default_rng(seed))
    ends = None if intervals is None else list(intervals[name])
    usable = ends is not None and all(map(math.isfinite, ends))
    return {
        "value": value if math.isfinite(value) else None,
        "interval_95": ends if usable else None,
    }
