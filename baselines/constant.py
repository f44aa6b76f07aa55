"""Answers that need no model: the best constant one, and those that repeat outputs of the target.

The latter open `oracle.jsonl` of the split they answer, which holds the output without the
intervention, which anyone can have who runs the target, and, for patching, that of the prompt the
vector was taken from, which no contestant has. They never open its truth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..benchmark.errors import IntegrityError, UsageError
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
    """Take the commonest full answer of train, and the commonest part of kinds that ask for one."""
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
    """All training queries with their answers, in the order of the file."""
    truth = suite.truth("train")
    solved = tuple(
        Solved(query=query, answer=truth[query.id].answer) for query in suite.queries("train")
    )
    if not solved:
        raise UsageError(f"suite {suite.name}: the training split is empty, nothing to learn from")
    return solved


def commonest(values: Iterable[K]) -> K:
    """The commonest value; of equally common ones the first in order of its text."""
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], repr(value)))


Outputs = Mapping[str, Mapping[str, Any]]
"""By query id: `clean` and `source`."""

Cell = tuple[str, tuple[int, ...]]
"""Position kind and block of layers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged:
    """Says that nothing changes."""

    task: Task
    """Writes answers."""
    outputs: Outputs
    """Outputs without the intervention."""

    def complete(self, prompts: Sequence[Prompt]) -> list[str]:
        """Say `unchanged` with the target's own output, and part A where a part is asked for."""
        return [self.task.format_answer(self._answer(prompt.query)) for prompt in prompts]

    def _answer(self, query: Query) -> Answer | Choice:
        if "parts" in query.fields:
            return Choice(part="A")
        return Answer(changed=False, content=self.outputs[query.id]["clean"])


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOracle:
    """Says that the source prompt's output comes out, where that is the rule."""

    task: Task
    """Writes answers."""
    outputs: Outputs
    """Outputs without the intervention, and of the source prompts."""
    takes_over: Mapping[Cell, bool]
    """Whether the source's output is the commoner outcome, by cell."""
    otherwise: bool
    """The same over all cells, for cells without training queries."""

    def complete(self, prompts: Sequence[Prompt]) -> list[str]:
        """Say the likelier of the two outputs."""
        replies = []
        for prompt in prompts:
            clean, source = _pair(prompt.query, self.outputs)
            taken = self.takes_over.get(_cell(prompt.query), self.otherwise)
            content = source if taken else clean
            answer = Answer(changed=content != clean, content=content)
            replies.append(self.task.format_answer(answer))
        return replies


def learn_unchanged(task: Task, suite: Suite, split: str) -> tuple[Unchanged, dict[str, Any]]:
    """Open the split's outputs without intervention."""
    return Unchanged(task=task, outputs=suite.oracle(split)), {}


def learn_source(task: Task, suite: Suite, split: str) -> tuple[SourceOracle, dict[str, Any]]:
    """Count on the training split, by cell, which of the two outputs comes out more often."""
    train = suite.oracle("train")
    lead: Counter[Cell] = Counter()
    for solved in solved_train(suite):
        clean, source = _pair(solved.query, train)
        assert isinstance(solved.answer, Answer)  # only patching has a source
        content = solved.answer.content
        lead[_cell(solved.query)] += int(content == source) - int(content == clean)
    takes_over = {cell: count > 0 for cell, count in lead.items()}
    explainer = SourceOracle(
        task=task,
        outputs=suite.oracle(split),
        takes_over=takes_over,
        otherwise=sum(lead.values()) > 0,
    )
    cells = [cell for cell, taken in takes_over.items() if taken]
    names = sorted(f"{kind} {layers[0]}-{layers[-1]}" for kind, layers in cells)
    return explainer, {"source_comes_out_in": names}


def _cell(query: Query) -> Cell:
    return query.kind, tuple(query.fields["layers"])


def _pair(query: Query, outputs: Outputs) -> tuple[str, str]:
    clean, source = outputs[query.id]["clean"], outputs[query.id]["source"]
    if not isinstance(source, str):
        raise IntegrityError(f"query {query.id}: the source prompt's output is missing")
    return clean, source
