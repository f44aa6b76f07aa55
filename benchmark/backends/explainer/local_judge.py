"""Language models on this machine as judges of descriptions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...cache import Progress, silent
from ...explainer import ExplainerCard
from ...judging.rubric import PROMPT_VERSION, Message
from ...models.targets import locate
from ...records import Prompt, Query
from .load import load_local
from .local import LocalExplainer


class LocalJudge:
    """A judge made of a loaded language model."""

    def __init__(self, explainer: LocalExplainer, card: ExplainerCard) -> None:
        """Take a model without vectors; no path of this machine is in its name."""
        self._explainer, self._card = explainer, card
        place = locate(card.name)
        self.name = place.resolve().name if isinstance(place, Path) else card.name

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
        """Yield `(index of the conversation, raw reply)`, a batch at a time, in order."""
        step = self._explainer.batch_size
        for start in range(0, len(conversations), step):
            prompts = [_prompt(messages) for messages in conversations[start : start + step]]
            for index, completion in enumerate(self._explainer.complete(prompts), start):
                yield index, completion.text


def load_judge(
    model: str, *, device: str = "cpu", batch_size: int | None = None, progress: Progress = silent
) -> LocalJudge:
    """Load a judge from a folder, a hub id or the name of a target."""
    options: dict[str, Any] = {"batch_size": batch_size, "progress": progress}
    return LocalJudge(*load_local(model, device=device, use_vectors=False, **options))


def _prompt(messages: Sequence[Message]) -> Prompt:
    instructions, asked = (message["content"] for message in messages)
    query = Query(id="0" * 16, group="0" * 16, kind="judge", fields={})
    return Prompt(query=query, template=PROMPT_VERSION, instructions=instructions, question=asked)
