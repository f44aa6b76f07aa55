"""A verdict by comparison: an explainer is asked with a query's vector and without, and both count.

Owns how two replies become one. What the output is stays the explainer's reply with the vector;
whether it changes is read off its own reply without.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...metrics.verdicts import normalise_content
from ...records import Answer, Completion, Prompt
from ...runs.reply_text import without_thinking
from ...task import Task
from .local import LocalExplainer


class Compared:
    """Asks a local explainer twice."""

    def __init__(self, explainer: LocalExplainer, task: Task) -> None:
        """Take an explainer and the task whose answers it gives."""
        self.explainer, self.task = explainer, task
        self.blind = explainer.without_vectors()

    def complete(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """Answer prompts that share template, instructions and shots, in order.

        The two replies stand, as thinking, before the answer that is made of them. Where one of
        them has no answer, or none but the verdict, the reply with the vector stands as it is.

        Raises:
            UsageError: as `LocalExplainer.complete`.
            IntegrityError: as `LocalExplainer.complete`.
        """
        seen = self.explainer.complete(prompts)
        # without vectors the second reply would be the first again
        blind = seen if self.blind is self.explainer else self.blind.complete(prompts)
        return [self._one(*pair) for pair in zip(seen, blind, strict=True)]

    def _one(self, seen: Completion, blind: Completion) -> Completion:
        both = (seen,) if blind is seen else (seen, blind)
        return Completion(
            text=self._text(seen.text, blind.text),
            n_in=sum(reply.n_in for reply in both),
            n_out=sum(reply.n_out for reply in both),
        )

    def _text(self, seen: str, blind: str) -> str:
        after, before = self.task.parse(seen), self.task.parse(blind)
        if not isinstance(after, Answer) or not isinstance(before, Answer):
            return seen
        contents = [normalise_content(answer.content) for answer in (after, before)]
        if "" in contents:
            return seen
        answer = Answer(changed=contents[0] != contents[1], content=after.content)
        lines = (
            "<think>",
            f"with the vector: {(without_thinking(seen) or '').strip()}",
            f"without it: {(without_thinking(blind) or '').strip()}",
            "</think>",
            self.task.format_answer(answer),
        )
        return "\n".join(lines)
