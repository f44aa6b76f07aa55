"""Where a prompt is patched: five kinds of token position, and blocks of layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ...facts.prompts import OneShot, rank, token_spans, tokens_in

N_BLOCKS = 5  # blocks the layers are cut into


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One token of one prompt."""

    position: int  # 0-based index in the target's tokenisation
    token: str  # the characters it covers


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A prompt with its tokens and the places where it may be patched."""

    prompt: OneShot
    ids: tuple[int, ...]
    places: dict[str, Place]  # kind to place; kinds the prompt does not have are absent


def blocks(n_layers: int) -> tuple[tuple[int, int], ...]:
    """First and last layer of each block, inclusive; blocks are as equal as they can be."""
    count = min(N_BLOCKS, n_layers)
    edges = [round(i * n_layers / count) for i in range(count + 1)]
    return tuple((low, high - 1) for low, high in pairwise(edges))


def place(tokenizer: Any, prompt: OneShot) -> Placed:
    """Find the places of a prompt. The first token is never one: it is the attention sink."""
    ids = tuple(tokenizer(prompt.text)["input_ids"])
    spans = token_spans(tokenizer, prompt.text)
    subject = tokens_in(spans, prompt.spans["subject"])
    last = len(ids) - 1
    found: dict[str, int] = {"last": last}
    if subject:
        found["last-subject"] = subject[-1]
        if len(subject) > 1:
            salt = rank("other-subject", prompt.text)
            found["other-subject"] = subject[salt % (len(subject) - 1)]
    for kind, span in (("relation", "key"), ("demonstration", "shown")):
        tokens = tokens_in(spans, prompt.spans[span])
        if tokens:
            found[kind] = tokens[-1]
    return Placed(
        prompt=prompt,
        ids=ids,
        places={
            kind: Place(position=index, token=_text(prompt.text, spans[index]))
            for kind, index in found.items()
            if index > 0 and (index < last or kind == "last")
        },
    )


def _text(text: str, span: Sequence[int]) -> str:
    return text[span[0] : span[1]].strip() or text[span[0] : span[1]]
