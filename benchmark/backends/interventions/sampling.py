"""Text sampled from a target model, every draw decided by given uniform numbers.

A row's tokens depend on its own prompt and numbers, and on its neighbours only through floating
point: the same batch gives the same tokens on one machine with the same number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers.cache_utils import DynamicLayer

from ...errors import UsageError
from ..models.batch import stop_tokens
from ..models.target_model import TargetModel
from .trace import Branch, Stem, start, step

_LOOKS = (64, 1024)
"""Numbers of likeliest tokens looked at before all are sorted: they mostly hold the nucleus."""

_COMPACT_BELOW = 0.75  # finished rows are dropped once less than this share still grows


def sample(
    target: TargetModel,
    prompts: Sequence[Sequence[int]],
    uniforms: npt.NDArray[np.float64],
    *,
    temperature: float = 1.0,
    top_p: float = 1.0,
) -> list[list[int]]:
    """Continue prompts with sampled tokens, until a stop token or the numbers are used up.

    `uniforms` in [0, 1), (n_prompts, max_new_tokens), decide the draws. No special tokens are drawn
    but stop tokens, which are not returned; tokens that all prompts begin with are read once.
    """
    if not prompts or uniforms.shape[0] != len(prompts) or not uniforms.shape[1]:
        raise UsageError("sampling needs prompts and one row of numbers for each of them")
    if temperature <= 0 or not 0 < top_p <= 1:
        raise UsageError("the temperature is above 0, and top_p above 0 and at most 1")
    stops = stop_tokens(target.model, target.tokenizer)
    banned = sorted(set(target.tokenizer.all_special_ids) - stops)
    flow = start(target, [_stem(prompts)])
    _make_room(flow.cache, uniforms.shape[1])
    written: list[list[int]] = [[] for _ in prompts]
    stored = list(range(len(prompts)))  # prompt of each row in the cache
    growing = set(stored)
    for turn in range(uniforms.shape[1]):
        logits = flow.logits / temperature
        logits[:, banned] = float("-inf")
        tokens = draw(logits, torch.from_numpy(uniforms[stored, turn]), top_p)
        for row, token in zip(stored, tokens.tolist(), strict=True):
            if token in stops:
                growing.discard(row)
            elif row in growing:
                written[row].append(token)
        if not growing or turn == uniforms.shape[1] - 1:
            break
        keep = list(range(len(stored)))
        if len(growing) < _COMPACT_BELOW * len(stored):
            keep = [place for place, row in enumerate(stored) if row in growing]
        flow = step(target, flow, tokens, torch.tensor(keep, device=tokens.device))
        stored = [stored[place] for place in keep]
    return written


def draw(logits: torch.Tensor, uniforms: torch.Tensor, top_p: float) -> torch.Tensor:
    """Draw a token for each row by the inverse of its nucleus's distribution function.

    The nucleus is the smallest set of likeliest tokens with at least the probability `top_p`
    (arXiv:1904.09751, section 3.1), ordered from the likeliest on.
    """
    uniforms = uniforms.to(logits.device)
    probabilities = logits.softmax(dim=-1)
    tokens = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
    rows = torch.arange(len(logits), device=logits.device)  # whose nucleus is not known yet
    for look in (*_LOOKS, logits.shape[-1]):
        size = min(look, logits.shape[-1])
        likeliest = probabilities[rows].topk(size, dim=-1)
        drawn, found = _inverse(likeliest.values, likeliest.indices, uniforms[rows], top_p)
        tokens[rows] = drawn
        if size == logits.shape[-1] or bool(found.all()):
            break
        rows = rows[~found]
    return tokens


def _inverse(
    values: torch.Tensor, indices: torch.Tensor, uniforms: torch.Tensor, top_p: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens (rows,) drawn among the likeliest (rows, n), and whether these held the nucleus."""
    sums = values.double().cumsum(dim=-1)
    last = (sums < top_p).sum(dim=-1).clamp(max=values.shape[-1] - 1)  # (rows,)
    mass = sums.gather(-1, last[:, None])
    place = (sums <= uniforms[:, None] * mass).sum(dim=-1).minimum(last)
    return indices.gather(-1, place[:, None])[:, 0], sums[:, -1] >= top_p


class _Roomy(DynamicLayer):
    """Keys and values of one layer in buffers with room, so that a token costs no copy of all."""

    keys: Any
    values: Any

    def __init__(self, layer: Any, room: int) -> None:
        """Take over a layer's keys and values (rows, n_kv_heads, length, d_head)."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.dtype, self.device, self.is_initialized = layer.dtype, layer.device, True
        self._room = room
        self._hold(layer.keys, layer.values)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append (rows, n_kv_heads, width, d_head) and return all."""
        before = self.keys.shape[-2]
        after = before + key_states.shape[-2]
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, before:after] = states
        self.keys, self.values = (buffer[:, :, :after] for buffer in self._buffers)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep these rows only."""
        if len(indices) < len(self.keys):
            self._hold(self.keys[indices], self.values[indices])

    def _hold(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        rows, heads, length, width = keys.shape
        shape = (rows, heads, length + self._room, width)
        self._buffers = [keys.new_zeros(shape), values.new_zeros(shape)]
        for buffer, states in zip(self._buffers, (keys, values), strict=True):
            buffer[:, :, :length] = states
        self.keys, self.values = (buffer[:, :, :length] for buffer in self._buffers)


def _make_room(cache: Any, room: int) -> None:
    """Give every layer of a cache room for so many tokens; sliding layers stay as they are."""
    for index, layer in enumerate(cache.layers):
        if type(layer) is DynamicLayer:
            cache.layers[index] = _Roomy(layer, room)


def _stem(prompts: Sequence[Sequence[int]]) -> Stem:
    """The prompts as branches behind the tokens they share; each keeps a token of its own."""
    rows = [tuple(prompt) for prompt in prompts]
    shared = min(len(row) for row in rows) - 1
    while len({row[:shared] for row in rows}) > 1:
        shared -= 1
    return Stem(ids=rows[0][:shared], branches=tuple(Branch(ids=row[shared:]) for row in rows))
