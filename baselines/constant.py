"""The best constant: one answer for every query, one part where a part is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..benchmark.errors import UsageError
from ..benchmark.records import Answer, Choice, Prompt, Query
from ..benchmark.suite.suite import Suite
from ..benchmark.task import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """Gives one reply to everything but some kinds."""

    reply: str
    """The reply."""
    by_kind: Mapping[str, str] = field(default_factory=dict)
    """Replies to kinds whose answers have another form."""

    def complete(self, prompts: Sequence[Prompt]) -> list[str]:
        """Give the same reply to each prompt of a form."""
        return [self.by_kind.get(prompt.query.kind, self.reply) for prompt in prompts]


def learn(task: Task, suite: Suite, _split: str) -> tuple[Constant, dict[str, Any]]:
    """Take the commonest full answer of train, and the commonest part of kinds that ask for one.

    Raises:
        UsageError: the training split is empty.
        IntegrityError: one of its files is corrupt.
    """
    solved = solved_train(suite)
    parts: dict[str, list[Choice]] = {}
    for lesson in solved:
        if isinstance(lesson.answer, Choice):
            parts.setdefault(lesson.query.kind, []).append(lesson.answer)
    whole = [lesson.answer for lesson in solved if not isinstance(lesson.answer, Choice)]
    by_kind = {kind: task.format_answer(commonest(own)) for kind, own in sorted(parts.items())}
    reply = task.format_answer(commonest(whole)) if whole else next(iter(by_kind.values()))
    settings: dict[str, Any] = {"reply": reply} | ({"by_kind": by_kind} if by_kind else {})
    return Constant(reply=reply, by_kind=by_kind), settings


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
