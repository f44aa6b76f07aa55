"""The training split with its truth: what baselines learn from, and the only truth they open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.records import Answer, Choice, Query
from introspect_bench.benchmark.suite import Suite

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """A training query with the answer that is right."""

    query: Query
    """The query."""
    answer: Answer | Choice
    """The answer that would score 1."""


def solved_train(suite: Suite) -> tuple[Solved, ...]:
    """Return all training queries with their answers, in the order of the file.

    Raises:
        UsageError: the training split is empty.
    """
    truth = suite.truth("train")
    found = tuple(
        Solved(query=query, answer=truth[query.id].answer) for query in suite.queries("train")
    )
    if not found:
        raise UsageError(f"suite {suite.name}: the training split is empty, nothing to learn from")
    return found


def commonest(values: Iterable[K]) -> K:
    """Return the commonest value; of equally common ones the first in order of its text."""
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], repr(value)))
