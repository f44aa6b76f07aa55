"""First answer tokens after many patches of one block: cheap, to choose what is measured in full.

Positions behind the patched one first differ one layer above the block's first, so the layers up to
there are computed once a stem and not once a branch.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from introspect_bench.benchmark.backends.answers import top2
from introspect_bench.benchmark.backends.interventions import (
    Branch,
    Stem,
    pad,
    position_ids,
    slides,
    start,
)
from introspect_bench.benchmark.backends.target_model import TargetModel
from introspect_bench.benchmark.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Screened:
    """First answer tokens of one stem."""

    clean: tuple[int, int]
    """The two likeliest tokens without a patch, likeliest first."""
    tokens: tuple[int, ...]
    """The likeliest token after each branch's patch."""
    gaps: tuple[float, ...]
    """Its lead over the second, in logits."""


def screen(target: TargetModel, stems: Sequence[Stem]) -> list[Screened]:
    """First answer tokens of stems whose branches share their tokens and one patched block.

    Raises:
        UsageError: branches of a stem have different tokens, or not all patch the same block.
    """
    branches = [branch for stem in stems for branch in stem.branches]
    if len({branch.layers for branch in branches}) != 1 or branches[0].layers is None:
        raise UsageError("screening is for branches that all patch the same block of layers")
    if any(len({branch.ids for branch in stem.branches}) != 1 for stem in stems):
        raise UsageError("screening is for branches with the same tokens")
    clean, patched = _plain(target, stems) if slides(target) else _shared(target, stems)
    tokens, gaps = top2(patched.float())
    found, cursor = [], 0
    for stem, best in zip(stems, clean.topk(2, dim=-1).indices.tolist(), strict=True):
        end = cursor + len(stem.branches)
        found.append(
            Screened(
                clean=(best[0], best[1]),
                tokens=tuple(tokens[cursor:end].tolist()),
                gaps=tuple(gaps[cursor:end].tolist()),
            )
        )
        cursor = end
    return found


def _plain(target: TargetModel, stems: Sequence[Stem]) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of clean runs (stems, vocabulary) and of patched ones, with nothing left out."""
    bare = [Stem(ids=s.ids, branches=(Branch(ids=s.branches[0].ids),)) for s in stems]
    return start(target, bare).logits, start(target, stems).logits


def _shared(target: TargetModel, stems: Sequence[Stem]) -> tuple[torch.Tensor, torch.Tensor]:
    """The same, with tokens before the patch and layers below it computed once a stem."""
    branches = [branch for stem in stems for branch in stem.branches]
    assert branches[0].layers is not None
    low, high = branches[0].layers
    head = pad([stem.ids for stem in stems], target)
    tail = pad([stem.branches[0].ids for stem in stems], target)
    mask = torch.cat([head.mask, tail.mask], dim=1)
    places = position_ids(mask)[:, -tail.ids.shape[1] :]
    with torch.inference_mode():
        cache = target.model(
            input_ids=head.ids,
            attention_mask=head.mask,
            position_ids=position_ids(head.mask),
            use_cache=True,
            logits_to_keep=1,
        ).past_key_values
        inputs = {"use_cache": True, "logits_to_keep": 1}
        with _watched(target, low) as seen:
            clean = target.model(
                input_ids=tail.ids,
                attention_mask=mask,
                position_ids=places,
                past_key_values=copy.deepcopy(cache),
                **inputs,
            ).logits[:, -1]
        owner = torch.tensor([i for i, s in enumerate(stems) for _ in s.branches])
        owner = owner.to(target.device)
        cache.batch_select_indices(owner)
        rows = torch.arange(len(branches), device=target.device)
        columns = (tail.ids.shape[1] - tail.mask.sum(-1))[owner]
        bare = isinstance(seen[0], torch.Tensor)
        stream = seen[0] if bare else seen[0][0]
        vectors = torch.stack([b.vector for b in branches if b.vector is not None]).to(stream)

        def write(hidden: torch.Tensor) -> torch.Tensor:
            hidden = hidden.clone()
            hidden[rows, columns] = vectors
            return hidden

        first = write(stream[owner])
        with _from_layer(target, low, high, first if bare else (first,), write):
            patched = target.model(
                input_ids=tail.ids[owner],
                attention_mask=mask[owner],
                position_ids=places[owner],
                past_key_values=cache,
                **inputs,
            ).logits[:, -1]
    return clean, patched


@contextmanager
def _watched(target: TargetModel, layer: int) -> Iterator[list[Any]]:
    """Collect the output of a layer, as the layer gives it."""
    seen: list[Any] = []

    def look(_module: Any, _inputs: Any, output: Any) -> None:
        seen.append(output)

    handle = target.modules[layer].register_forward_hook(look)
    try:
        yield seen
    finally:
        handle.remove()


@contextmanager
def _from_layer(
    target: TargetModel,
    low: int,
    high: int,
    output: Any,
    write: Callable[[torch.Tensor], torch.Tensor],
) -> Iterator[None]:
    """Replace layers up to `low` by a constant, and write into the outputs up to `high`."""

    def written(_module: Any, _inputs: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            return (write(output[0]), *output[1:])
        return write(output)

    below = [target.modules[i] for i in range(low + 1)]
    held = [vars(module).get("forward") for module in below]
    hooks = [
        target.modules[i].register_forward_hook(written) for i in range(low + 1, high + 1)
    ]
    for module in below:
        module.forward = lambda *_inputs, **_named: output
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for module, forward in zip(below, held, strict=True):
            del module.forward
            if forward is not None:
                module.forward = forward
