"""The best constant: one answer for every query, one part where a part is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from introspect_bench.baselines.solved import commonest, solved_train
from introspect_bench.benchmark.records import Choice, Prompt
from introspect_bench.benchmark.suite import Suite
from introspect_bench.benchmark.task import Task


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
    for one in solved:
        if isinstance(one.answer, Choice):
            parts.setdefault(one.query.kind, []).append(one.answer)
    whole = [one.answer for one in solved if not isinstance(one.answer, Choice)]
    by_kind = {kind: task.format_answer(commonest(own)) for kind, own in sorted(parts.items())}
    reply = task.format_answer(commonest(whole)) if whole else next(iter(by_kind.values()))
    settings: dict[str, Any] = {"reply": reply} | ({"by_kind": by_kind} if by_kind else {})
    return Constant(reply=reply, by_kind=by_kind), settings
