"""Vectors shuffled among queries: whose each query gets, and that the run says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_runs import asked

from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.records import Query
from introspect_bench.benchmark.runs.run import read_run
from introspect_bench.benchmark.suite.rows import shuffled_rows
from introspect_bench.benchmark.suite.suite import Suite


def test_shuffled_vectors_are_another_groups_and_recorded(
    ask: Callable[..., Path], batch_dependent: Any, toy_suite: Suite
) -> None:
    path = ask(batch_dependent, shuffled=True, shots=2)
    assert read_run(path).header.explainer.shuffled_vectors is True
    vectors, queries = toy_suite.vectors("test"), toy_suite.queries("test")
    prompts = asked(batch_dependent)
    assert len(prompts) == len(queries)
    seen = set()
    for prompt in prompts:
        (row,) = np.flatnonzero((vectors == prompt.vector).all(axis=1))
        (giver,) = (query for query in queries if query.vector == row)
        assert giver.group != prompt.query.group
        seen.add(giver.id)
    assert len(seen) > len(queries) / 2
    train = toy_suite.vectors("train")  # solved queries keep their own
    assert all((train == turn.vector).all(axis=1).any() for p in prompts for turn in p.shots)


def test_vectors_are_shuffled_within_kind_and_layers_and_never_by_chance() -> None:
    def query(number: int, group: int, layer: int) -> Query:
        return Query(
            id=f"{number:016x}",
            group=f"{group:016x}",
            kind="sae",
            fields={"layer": layer},
            vector=number,
        )

    queries = [query(number, number // 2, number // 8) for number in range(16)]
    rows = shuffled_rows(queries)
    np.testing.assert_array_equal(rows, shuffled_rows(queries[::-1]))
    for own, other in enumerate(rows):
        assert queries[own].fields == queries[other].fields
        assert queries[own].group != queries[other].group
    lone = [*queries, query(16, 8, 9)]
    assert lone[shuffled_rows(lone)[16]].group != lone[16].group
    with pytest.raises(UsageError, match="all queries are of one group"):
        shuffled_rows(queries[:2])
