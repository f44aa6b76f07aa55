"""Differences on parts of the queries, against values worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from introspect_bench.benchmark.metrics.bootstrap import differences, layers_of, take
from introspect_bench.benchmark.metrics.paired import compare
from introspect_bench.benchmark.metrics.verdicts import ScoreTable
from introspect_bench.benchmark.records import Query

BLOCKS = ([6, 11], [0, 5], [6, 11], [0, 5], [6, 11], [6, 11])
KINDS = ("last", "last", "word", "word", "last", "word")
GROUPS = (0, 1, 2, 3, 0, 2)


def answers(*exact: int) -> ScoreTable:
    hit = np.array(exact, dtype=np.bool_)
    return ScoreTable(
        exact=hit,
        content=hit,
        true_changed=np.ones_like(hit),
        pred_changed=hit.astype(np.int8),
        kind=np.array(KINDS[: len(hit)]),
        group=np.array(GROUPS[: len(hit)], dtype=np.int64),
    )


def asked(kind: str, **fields: Any) -> Query:
    return Query(id="0" * 16, group="1" * 16, kind=kind, fields=fields)


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


QUERIES = [asked(kind, layers=block) for kind, block in zip(KINDS, BLOCKS, strict=True)]
FIRST, SECOND = answers(1, 1, 0, 1, 1, 0), answers(0, 1, 1, 0, 0, 0)


def test_each_part_has_the_difference_of_its_own_queries() -> None:
    found = differences(FIRST, SECOND, QUERIES, "exact_match", rng)
    assert {title: list(parts) for title, parts in found.items()} == {
        "layers": ["00-05", "06-11"],
        "kind": ["last", "word"],
    }
    values = {name: part.value for parts in found.values() for name, part in parts.items()}
    # of layers 6 to 11 the first has 2 of 4 right, the second 1; of kind word 1 and 1 of 3
    assert values == pytest.approx({"00-05": 1 / 2, "06-11": 1 / 4, "last": 2 / 3, "word": 0})
    assert {name: part.n for name, part in found["layers"].items()} == {"00-05": 2, "06-11": 4}


def test_a_part_is_compared_as_if_there_were_no_other() -> None:
    part = differences(FIRST, SECOND, QUERIES, "exact_match", rng)["layers"]["06-11"]
    chosen = np.array([block == [6, 11] for block in BLOCKS])
    alone = compare(take(FIRST, chosen), take(SECOND, chosen), "exact_match", rng=rng())
    assert part.interval_95 == alone.interval_95
    assert part.interval_95 is not None
    # two groups: one of them won by the first, one by the second
    assert part.interval_95 == pytest.approx((-1 / 2, 1))


def test_groups_of_a_part_are_numbered_anew() -> None:
    part = take(FIRST, np.array([False, False, True, True, False, True]))
    assert part.group.tolist() == [0, 1, 0]
    assert part.n_groups == 2
    with pytest.raises(ValueError, match="no queries"):
        take(FIRST, np.zeros(6, dtype=np.bool_))


def test_a_part_of_one_group_has_no_interval() -> None:
    queries = [asked("last" if group else "word") for group in GROUPS]
    part = differences(FIRST, SECOND, queries, "exact_match", rng)["kind"]["word"]
    assert (part.value, part.interval_95, part.n) == (1, None, 2)


def test_queries_of_one_part_are_not_told_apart_and_those_of_none_are_in_none() -> None:
    nowhere = [asked("word") for _ in QUERIES]
    assert differences(FIRST, SECOND, nowhere, "exact_match", rng) == {}
    some = [asked("word", layer=3), asked("word", layer=12), *nowhere[2:]]
    found = differences(FIRST, SECOND, some, "exact_match", rng)["layers"]
    assert {name: part.n for name, part in found.items()} == {"03": 1, "12": 1}
    assert layers_of(nowhere[0]) == ""


def test_other_queries_are_refused() -> None:
    with pytest.raises(ValueError, match="different queries"):
        differences(FIRST, take(FIRST, np.arange(6) < 3), QUERIES, "exact_match", rng)
    with pytest.raises(ValueError, match="5 queries for a table of 6"):
        differences(FIRST, SECOND, QUERIES[1:], "exact_match", rng)
