"""Reference explainers that are told outputs of the target.

They open `oracle.jsonl` of the split they answer, which holds the output without the intervention,
which anyone can have who runs the target, and, for patching, that of the prompt the vector was
taken from, which no contestant has. They never open its truth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..benchmark.errors import IntegrityError
from ..benchmark.records import Answer, Choice, Prompt, Query
from ..benchmark.suite.suite import Suite
from ..benchmark.task import Task
from .constant import Solved, solved_train

Told = Mapping[str, Mapping[str, Any]]
"""By query id: `clean` and `source`."""

Cell = tuple[str, tuple[int, ...]]
"""Position kind and block of layers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged:
    """Says that nothing changes."""

    task: Task
    """Writes answers."""
    told: Told
    """Outputs without the intervention."""

    def complete(self, prompts: Sequence[Prompt]) -> list[str]:
        """Say `unchanged` with the target's own output, and part A where a part is asked for."""
        return [self.task.format_answer(self._answer(prompt.query)) for prompt in prompts]

    def _answer(self, query: Query) -> Answer | Choice:
        if "parts" in query.fields:
            return Choice(part="A")
        return Answer(changed=False, content=self.told[query.id]["clean"])


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOracle:
    """Says that the source prompt's output comes out, where that is the rule."""

    task: Task
    """Writes answers."""
    told: Told
    """Outputs without the intervention, and of the source prompts."""
    takes_over: Mapping[Cell, bool]
    """Whether the source's output is the commoner outcome, by cell."""
    otherwise: bool
    """The same over all cells, for cells that training queries do not show."""

    def complete(self, prompts: Sequence[Prompt]) -> list[str]:
        """Say the likelier of the two outputs."""
        replies = []
        for prompt in prompts:
            told = self.told[prompt.query.id]
            source = _source(prompt.query.id, told)
            taken = self.takes_over.get(_cell(prompt.query), self.otherwise)
            content = source if taken else told["clean"]
            answer = Answer(changed=content != told["clean"], content=content)
            replies.append(self.task.format_answer(answer))
        return replies


def learn_unchanged(task: Task, suite: Suite, split: str) -> tuple[Unchanged, dict[str, Any]]:
    """Open what oracles are told about the split.

    Raises:
        UsageError: no such split.
        IntegrityError: the file is corrupt.
    """
    return Unchanged(task=task, told=suite.oracle(split)), {}


def learn_source(task: Task, suite: Suite, split: str) -> tuple[SourceOracle, dict[str, Any]]:
    """Count on the training split, by cell, which of the two outputs comes out more often.

    Raises:
        UsageError: no such split, or the training split is empty.
        IntegrityError: a file is corrupt, or does not hold the source prompt's output.
    """
    train = suite.oracle("train")
    lead: Counter[Cell] = Counter()
    for solved in solved_train(suite):
        told = train[solved.query.id]
        content = _content(solved)
        is_source = content == _source(solved.query.id, told)
        lead[_cell(solved.query)] += int(is_source) - int(content == told["clean"])
    takes_over = {cell: count > 0 for cell, count in lead.items()}
    otherwise = sum(lead.values()) > 0
    explainer = SourceOracle(
        task=task, told=suite.oracle(split), takes_over=takes_over, otherwise=otherwise
    )
    cells = sorted(f"{kind} {layers[0]}-{layers[-1]}" for (kind, layers) in _where(takes_over))
    return explainer, {"source_comes_out_in": cells}


def _content(solved: Solved) -> str:
    assert isinstance(solved.answer, Answer)  # only patching has a source
    return solved.answer.content


def _where(takes_over: Mapping[Cell, bool]) -> list[Cell]:
    return [cell for cell, taken in takes_over.items() if taken]


def _cell(query: Query) -> Cell:
    return query.kind, tuple(query.fields["layers"])


def _source(query_id: str, told: Mapping[str, Any]) -> str:
    source = told["source"]
    if not isinstance(source, str):
        raise IntegrityError(f"query {query_id}: the source prompt's output is missing")
    return source
