"""The best constant answer, and the solved training queries that it is learnt from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.records import Answer, Choice, Prompt, Query
from introspect_bench.benchmark.suite.suite import Suite
from introspect_bench.benchmark.task import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """Gives one reply to everything."""

    reply: str
    """The reply."""

    def complete(self, prompts: Sequence[Prompt]) -> list[str]:
        """Give the same reply to each prompt."""
        return [self.reply for _ in prompts]


def learn(task: Task, suite: Suite, _split: str) -> tuple[Constant, dict[str, Any]]:
    """Take the commonest full answer, verdict and content, of the training split."""
    reply = task.format_answer(commonest(solved.answer for solved in solved_train(suite)))
    return Constant(reply=reply), {"reply": reply}


K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """A training query with the answer that is right."""

    query: Query
    """The query."""
    answer: Answer | Choice
    """The answer that would score 1."""


def solved_train(suite: Suite) -> tuple[Solved, ...]:
    """All training queries with their answers, in the order of the file."""
    truth = suite.truth("train")
    found = tuple(
        Solved(query=query, answer=truth[query.id].answer) for query in suite.queries("train")
    )
    if not found:
        raise UsageError(f"suite {suite.name}: the training split is empty, nothing to learn from")
    return found


def commonest(values: Iterable[K]) -> K:
    """The commonest value; of equally common ones the first in order of its text."""
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], repr(value)))
