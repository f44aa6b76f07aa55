"""From the name of a model to a `LocalExplainer` with its card, or to a judge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from ...cache import OnProgress, silent
from ...errors import UsageError
from ...explainer import ExplainerCard
from ...judging.rubric import PROMPT_VERSION, Message
from ...models.targets import locate
from ...records import GREEDY, Prompt, Query
from ..injection.spec import all_injections
from ..models.pretrained import load_tokenizer, usable_device
from .checkpoints import Place as Place
from .checkpoints import find_model as find_model
from .checkpoints import open_checkpoint
from .local import MAX_NEW_TOKENS, LocalExplainer

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""Names of dtypes weights can be loaded in."""


def load_local(
    model: str,
    *,
    device: str = "cpu",
    dtype: str = "auto",
    family: str | None = None,
    target: str | None = None,
    on_progress: OnProgress = silent,
    **options: Any,
) -> tuple[LocalExplainer, ExplainerCard]:
    """Load a folder, hub id or target name as an explainer; an adapter brings its base model.

    Options are fields of `local.Options`; where they say nothing of injection or decoding,
    `explainer.json` does. `dtype` may be `auto`: float32 on CPU, bfloat16 elsewhere. `family` (or
    `selfie-adapter:FILE`) is told from the checkpoint if None. The tokenizer of `target`, opened if
    vectors enter at quoted tokens, counts positions in texts.
    """
    where, number = usable_device(device), find_dtype(dtype, device)
    place = find_model(model, on_progress=on_progress)
    opened = open_checkpoint(place.directory, family, options.get("injection"), number, on_progress)
    quotes = any(way.quotes for way in all_injections(opened.injection))
    target_tokenizer = None
    if target is not None and options.get("use_vectors", True) and quotes:
        target_tokenizer = load_tokenizer(find_model(target, on_progress=on_progress).directory)
    options["injection"] = opened.injection
    options["decoding"] = options.get("decoding") or opened.decoding or GREEDY
    explainer = LocalExplainer(
        opened.model.to(where),
        opened.tokenizer,
        learned=opened.learned,
        family=opened.family,
        target_tokenizer=target_tokenizer,
        **options,
    )
    card = ExplainerCard(
        name=model,
        kind="local",
        revision=place.revision,
        weights_sha256=opened.hashes,
        settings=explainer.settings() | opened.about,
    )
    return explainer, card


def find_dtype(name: str, device: str) -> torch.dtype:
    """Return a dtype by its name."""
    if name == "auto":
        return torch.float32 if device.startswith("cpu") else torch.bfloat16
    if name not in DTYPES:
        raise UsageError(f"unknown dtype '{name}': expected auto, {', '.join(DTYPES)}")
    return DTYPES[name]


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
    model: str,
    *,
    device: str = "cpu",
    batch_size: int | None = None,
    on_progress: OnProgress = silent,
) -> LocalJudge:
    """Load a judge from a folder, a hub id or the name of a target."""
    options: dict[str, Any] = {"use_vectors": False, "batch_size": batch_size}
    options |= {"max_new_tokens": MAX_NEW_TOKENS, "on_progress": on_progress}
    return LocalJudge(*load_local(model, device=device, **options))


def _prompt(messages: Sequence[Message]) -> Prompt:
    instructions, question = messages
    query = Query(id="0" * 16, group="0" * 16, kind="judge", fields={})
    return Prompt(
        query=query,
        template=PROMPT_VERSION,
        instructions=instructions["content"],
        question=question["content"],
    )
