"""The best constant: one answer for every query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from introspect_bench.baselines.solved import commonest, solved_train
from introspect_bench.benchmark.records import Prompt
from introspect_bench.benchmark.suite import Suite
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
    """Take the commonest full answer, verdict and content, of the training split.

    Raises:
        UsageError: the training split is empty.
        IntegrityError: one of its files is corrupt.
    """
    reply = task.format_answer(commonest(solved.answer for solved in solved_train(suite)))
    return Constant(reply=reply), {"reply": reply}
