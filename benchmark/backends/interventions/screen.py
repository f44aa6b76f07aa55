"""First answer tokens after many patches of one place: cheap, to choose what is measured in full.

Positions behind the patched one first differ one layer above the block's first, so the layers up to
there are computed once a stem and not once a branch.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from ...errors import UsageError
from ..injection.hooks import hidden_of, hooked, rewriting
from ..models.batch import cache_of, check_finite, pad, position_ids, with_cache
from ..models.target_model import TargetModel
from .outputs import top2
from .trace import Branch, Stem, prompt_name, slides, start


@dataclass(frozen=True, slots=True, kw_only=True)
class Screened:
    """First answer tokens of one stem."""

    clean: tuple[int, int]  # the two likeliest tokens without a patch, likeliest first
    tokens: tuple[int, ...]  # the likeliest token after each branch's patch
    gaps: tuple[float, ...]  # its lead over the second, in logits


def screen(target: TargetModel, stems: Sequence[Stem]) -> list[Screened]:
    """First answer tokens of stems, whose branches share their tokens and all have a patch."""
    if any(branch.layers is None for stem in stems for branch in stem.branches):
        raise UsageError("screening is for branches with a patch")
    if any(len({branch.ids for branch in stem.branches}) != 1 for stem in stems):
        raise UsageError("screening is for branches with the same tokens")
    clean, patched = _plain(target, stems) if slides(target) else _shared(target, stems)
    asked = [((*stem.ids, *branch.ids), branch) for stem in stems for branch in stem.branches]
    bare = [(*stem.ids, *stem.branches[0].ids) for stem in stems]
    check_finite(clean, lambda row: prompt_name(target, bare[row]))
    check_finite(patched, lambda row: prompt_name(target, *asked[row]))
    tokens, gaps = top2(patched.float())
    sizes = [len(stem.branches) for stem in stems]
    best = clean.topk(2, dim=-1).indices.tolist()
    parts = zip(best, torch.split(tokens, sizes), torch.split(gaps, sizes), strict=True)
    return [
        Screened(clean=(one, two), tokens=tuple(own.tolist()), gaps=tuple(leads.tolist()))
        for (one, two), own, leads in parts
    ]


def _plain(target: TargetModel, stems: Sequence[Stem]) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of clean runs (stems, vocabulary) and of patched ones, with nothing left out."""
    bare = [Stem(ids=s.ids, branches=(Branch(ids=s.branches[0].ids),)) for s in stems]
    return start(target, bare).logits, start(target, stems).logits


def _shared(target: TargetModel, stems: Sequence[Stem]) -> tuple[torch.Tensor, torch.Tensor]:
    """The same, with tokens before the patch and layers below it computed once a stem."""
    branches = [branch for stem in stems for branch in stem.branches]
    owner = torch.tensor([i for i, s in enumerate(stems) for _ in s.branches])
    head = pad([stem.ids for stem in stems], target)
    tail = pad([stem.branches[0].ids for stem in stems], target)
    mask = torch.cat([head.mask, tail.mask], dim=1)
    places = position_ids(mask)[:, -tail.ids.shape[1] :]
    blocks = sorted({branch.layers for branch in branches if branch.layers is not None})
    with torch.inference_mode():
        cache = cache_of(target.model(**head.inputs(use_cache=True, logits_to_keep=1)))
        read = Tail(target=target, ids=tail.ids, mask=mask, places=places, width=tail.mask.sum(-1))
        seen: dict[int, Any] = {}

        def note(layer: int, _module: Any, _inputs: Any, output: Any) -> None:
            seen[layer] = output

        with hooked((target.modules[low], partial(note, low)) for low, _ in blocks):
            clean = read.logits(copy.deepcopy(cache))
        patched = torch.empty((len(branches), clean.shape[-1]), dtype=clean.dtype)
        for block in blocks:
            rows = [i for i, branch in enumerate(branches) if branch.layers == block]
            vectors = torch.stack([v for i in rows if (v := branches[i].vector) is not None])
            patched[rows] = read.patched(
                copy.deepcopy(cache), owner[rows], block, vectors, seen[block[0]]
            ).to(patched)
    return clean, patched


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """The tokens from the patched one on, of a batch of stems."""

    target: TargetModel  # the target model
    ids: torch.Tensor  # left-padded tokens (stems, width)
    mask: torch.Tensor  # attention mask of stems and tails (stems, all)
    places: torch.Tensor  # positions of the tails' tokens (stems, width)
    width: torch.Tensor  # real tokens of each tail (stems,)

    def logits(self, cache: Any, rows: torch.Tensor | slice = slice(None)) -> torch.Tensor:
        """Last logits of some rows of stems, behind their cache (rows, vocabulary)."""
        logits: torch.Tensor = self.target.model(
            input_ids=self.ids[rows],
            attention_mask=self.mask[rows],
            position_ids=self.places[rows],
            use_cache=True,
            logits_to_keep=1,
            **with_cache(cache),
        ).logits[:, -1]
        return logits

    def patched(
        self,
        cache: Any,
        owner: torch.Tensor,
        block: tuple[int, int],
        vectors: torch.Tensor,
        output: Any,
    ) -> torch.Tensor:
        """Last logits after patches of one block; `output` is its first layer's."""
        owner = owner.to(self.ids.device)
        cache.batch_select_indices(owner)
        rows = torch.arange(len(owner), device=owner.device)
        columns = (self.ids.shape[1] - self.width)[owner]

        def write(hidden: torch.Tensor) -> torch.Tensor:
            hidden = hidden.clone()
            hidden[rows, columns] = vectors.to(hidden)
            return hidden

        first = write(hidden_of(output)[owner])
        given = (first,) if isinstance(output, tuple) else first
        with _from_layer(self.target, *block, given, write):
            return self.logits(cache, owner)


@contextmanager
def _from_layer(
    target: TargetModel,
    low: int,
    high: int,
    output: Any,
    write: Callable[[torch.Tensor], torch.Tensor],
) -> Iterator[None]:
    """Replace layers up to `low` by a constant, and write into the outputs up to `high`."""
    below = [target.modules[i] for i in range(low + 1)]
    held = [vars(module).get("forward") for module in below]
    for module in below:
        module.forward = lambda *_inputs, **_named: output
    try:
        with hooked((target.modules[i], rewriting(write)) for i in range(low + 1, high + 1)):
            yield
    finally:
        for module, forward in zip(below, held, strict=True):
            del module.forward
            if forward is not None:
                module.forward = forward
