"""A judge that is a local language model; greedy replies, on one line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...cache import OnProgress, silent
from ...explainer import ExplainerCard
from ...judging.rubric import PROMPT_VERSION, Message
from ...models.targets import locate
from ...records import Prompt, Query
from .load import load_local
from .local import LocalExplainer

MAX_NEW_TOKENS = 32
"""Longest reply, in tokens."""


class LocalJudge:
    """A judge made of a loaded language model."""

    def __init__(self, explainer: LocalExplainer, card: ExplainerCard) -> None:
        """Take a model that was loaded without vectors, and its card.

        A folder is named by its last part, so that no path of this machine is in a result.
        """
        self._explainer = explainer
        found = locate(card.name)
        self.name = found.resolve().name if isinstance(found, Path) else card.name
        self._card = card

    @property
    def settings(self) -> dict[str, Any]:
        """Hashes of the weights, and everything that could change a reply."""
        return {
            "kind": "local",
            "revision": self._card.revision,
            "weights_sha256": dict(self._card.weights_sha256),
            **self._explainer.settings(),
        }

    def replies(self, conversations: Sequence[Sequence[Message]]) -> Iterator[tuple[int, str]]:
        """Yield `(index of the conversation, raw reply)`, a batch at a time, in order.

        Raises:
            UsageError: a conversation is too long for the model.
        """
        step = self._explainer.batch_size
        for start in range(0, len(conversations), step):
            prompts = [_prompt(messages) for messages in conversations[start : start + step]]
            for index, completion in enumerate(self._explainer.complete(prompts), start):
                yield index, completion.text


def load_judge(
    model: str,
    *,
    device: str = "cpu",
    dtype: str = "auto",
    batch_size: int | None = None,
    on_progress: OnProgress = silent,
) -> LocalJudge:
    """Load a judge from a folder, a hub id or the name of a target.

    Arguments and errors are those of `loading.load_local`.
    """
    explainer, card = load_local(
        model,
        device=device,
        dtype=dtype,
        batch_size=batch_size,
        max_new_tokens=MAX_NEW_TOKENS,
        use_vectors=False,
        on_progress=on_progress,
    )
    return LocalJudge(explainer, card)


def _prompt(messages: Sequence[Message]) -> Prompt:
    instructions, question = messages
    query = Query(id="0" * 16, group="0" * 16, kind="judge", fields={})
    return Prompt(
        query=query,
        template=PROMPT_VERSION,
        instructions=instructions["content"],
        question=question["content"],
    )
