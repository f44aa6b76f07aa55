"""What tests of places in layers share with others."""

from __future__ import annotations

from typing import Any

import torch
from tiny_models import N_LAYERS
from tiny_prompts import vector

from introspect_bench.benchmark.backends.explainer.chat import Encoder
from introspect_bench.benchmark.backends.explainer.families import FamilyEncoder
from introspect_bench.benchmark.backends.injection.hooks import decoder_layers
from introspect_bench.benchmark.backends.training.dataset import Lesson
from introspect_bench.benchmark.records import SLOT, Prompt, Query

TEXT = "Bob met Bob in Kyōto. Bob"


def patching(text: str, character: int, layers: tuple[int, int], seed: int, end: str) -> Prompt:
    """A prompt about the byte of `text` that is the last of its character."""
    position = len(text[: character + 1].encode()) - 1
    fields = {
        "text": text,
        "position": position,
        "n_tokens": len(text.encode()),
        "token": text[character],
        "layers": list(layers),
    }
    return Prompt(
        query=Query(id="0" * 16, group="0" * 16, kind="last", fields=fields),
        template="toy/1",
        instructions="Say what it writes.",
        question=f"Text: {text}\nReplaced by {SLOT}. {end}",
        vector=vector(seed),
    )


def feature(layer: int, seed: int) -> Prompt:
    return Prompt(
        query=Query(id="0" * 16, group="0" * 16, kind="sae", fields={"layer": layer}),
        template="toy/1",
        instructions="Say what it writes.",
        question=f"Feature {SLOT} of layer {layer}?",
        vector=vector(seed),
    )


class Watch:
    """What the layers of a model read, and what they give before any vector is written."""

    def __init__(self, model: Any) -> None:
        self.read: list[list[torch.Tensor]] = [[] for _ in range(N_LAYERS)]
        self.given: list[list[torch.Tensor]] = [[] for _ in range(N_LAYERS)]
        self.handles = []
        for index, layer in enumerate(decoder_layers(model)):

            def before(_m: Any, args: Any, named: Any, index: int = index) -> None:
                self.read[index].append((args[0] if args else named["hidden_states"]).detach())

            def after(_m: Any, _args: Any, output: Any, index: int = index) -> None:
                hidden = output[0] if isinstance(output, tuple) else output
                self.given[index].append(hidden.detach())

            self.handles.append(layer.register_forward_pre_hook(before, with_kwargs=True))
            self.handles.append(layer.register_forward_hook(after))

    def last(self) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        for handle in self.handles:
            handle.remove()
        return [seen[-1] for seen in self.read], [seen[-1] for seen in self.given]


def lesson_of(encoder: Encoder | FamilyEncoder, prompt: Prompt) -> Lesson:
    """As `make_lessons` makes them."""
    head, (asked,) = encoder.head(prompt), encoder.questions([prompt])
    start = (*head.ids, *asked.ids)
    return Lesson(
        task="toy",
        qid=prompt.query.id,
        template=prompt.template,
        ids=(*start, *encoder.reply_ids("Oslo"), 1),
        n_head=len(head.ids),
        n_prompt=len(start),
        columns=tuple(len(head.ids) + column for column in asked.columns),
        vectors=asked.vectors,
        layers=asked.layers,
    )
