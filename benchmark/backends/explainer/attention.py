"""Attention in which many rows share one prefix, whose keys and values are stored and read once.

All rows' queries meet the prefix's keys in one matrix product, and the result is merged with the
row's own part by the usual rescaling of two softmax sums (as in Hydragen, arXiv:2402.05099). Masks
come from positions, so padding can be anywhere; a padded column has position -1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.cache_utils import Cache

ATTENTION = "introspect_bench_shared_head"  # as transformers knows it

UNSUPPORTED = ("s_aux", "position_bias")
"""Arguments of attention variants (sinks, additive biases) that this function does not compute."""


class CannotShareError(RuntimeError):
    """The model's attention cannot share a head; never reaches the user."""


@dataclass(slots=True, kw_only=True)
class Reach:
    """What the rows of one forward pass may attend to."""

    head: list[tuple[Tensor, Tensor]]
    """Keys and values of the prefix by layer, each (n_kv_heads, head_length, d_head); may be empty.
    """
    queries: Tensor  # positions of the tokens in this pass, int64 (rows, width)
    keys: Tensor  # their own cached and present tokens, int64 (rows, own_length)
    calls: int = 0  # attention calls that used this object
    masks: dict[int | None, Tensor] = field(default_factory=dict)  # by sliding window

    def own_mask(self, window: int | None) -> Tensor:
        """True where a token must not look, (rows, 1, 1, width, own_length)."""
        if window not in self.masks:
            distance = self.queries[:, :, None] - self.keys[:, None, :]
            hidden = (distance < 0) | (self.keys < 0)[:, None, :]
            if window is not None:
                hidden |= distance >= window
            self.masks[window] = hidden[:, None, None]
        return self.masks[window]


class Store(Cache):
    """Own keys and values of all rows, written in place into buffers of a fixed length."""

    def __init__(self, *, rows: int, length: int, room: int = 0) -> None:
        """Reserve columns, the last `room` of them for replies; memory is taken on first use."""
        super().__init__(layers=[])
        self.rows, self.length, self.room = rows, length, room
        self.buffers: list[tuple[Tensor, Tensor]] = []
        self.aim(slice(0, rows), first=0, start=0, stop=length)

    def aim(self, rows: slice, *, first: int, start: int, stop: int) -> None:
        """Next pass: these rows write columns start:stop and read columns first:stop."""
        self._rows, self._first, self._start, self._stop = rows, first, start, stop

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Write keys and values (rows, n_kv_heads, width, d_head); return those to read."""
        if layer_idx == len(self.buffers):
            new = [
                states.new_zeros((self.rows, states.shape[1], self.length, states.shape[3]))
                for states in (key_states, value_states)
            ]
            self.buffers.append((new[0], new[1]))
        keys, values = self.buffers[layer_idx]
        keys[self._rows, :, self._start : self._stop] = key_states
        values[self._rows, :, self._start : self._stop] = value_states
        read = (self._rows, slice(None), slice(self._first, self._stop))
        return keys[read], values[read]

    def get_seq_length(self, layer_idx: int = 0) -> int:  # noqa: ARG002
        """Columns before those of this pass."""
        return self._start

    def keep(self, rows: Tensor) -> None:
        """Keep these rows, int64 (n_kept,), in this order."""
        self.buffers = [(keys[rows], values[rows]) for keys, values in self.buffers]
        self.rows = len(rows)


def attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,  # noqa: ARG001
    *,
    reach: Reach | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attention of rows over the shared prefix and their own tokens, as transformers calls it.

    `query` is (rows, n_heads, width, d_head), `key` and `value` are the rows' own, (rows,
    n_kv_heads, own_length, d_head); returns (rows, width, n_heads, d_head) and no weights.
    """
    if reach is None or any(options.get(name) is not None for name in UNSUPPORTED):
        raise CannotShareError(f"{type(module).__name__}: its attention is of another kind")
    reach.calls += 1
    rows, n_heads, width, d_head = query.shape
    n_kv = key.shape[1]
    group = n_heads // n_kv
    scaling, window, cap = (options.get(n) for n in ("scaling", "sliding_window", "softcap"))
    scale = d_head**-0.5 if scaling is None else scaling
    asked = (query * scale).reshape(rows, n_kv, group * width, d_head)
    own = _capped(asked @ key.transpose(-1, -2), cap)
    own = own.view(rows, n_kv, group, width, -1)
    own = own.masked_fill_(reach.own_mask(window), torch.finfo(own.dtype).min)
    own = own.view(rows, n_kv, group * width, -1)
    if reach.head:
        mixed = _merged(asked, own, value, reach, module.layer_idx, window, cap)
    else:
        mixed = own.softmax(dim=-1).to(value.dtype) @ value
    mixed = mixed.to(query.dtype).reshape(rows, n_heads, width, d_head)
    return mixed.transpose(1, 2), None


def _capped(scores: Tensor, softcap: float | None) -> Tensor:
    scores = scores.float()
    return scores if softcap is None else (scores / softcap).tanh_() * softcap


def _merged(
    asked: Tensor,
    own: Tensor,
    value: Tensor,
    reach: Reach,
    layer: Any,
    window: int | None,
    softcap: float | None,
) -> Tensor:
    """Softmax over head and own scores together; (rows, n_kv_heads, group * width, d_head)."""
    head_key, head_value = reach.head[layer]
    rows, n_kv, asks, d_head = asked.shape
    flat = asked.transpose(0, 1).reshape(n_kv, rows * asks, d_head)
    head = _capped(flat @ head_key.transpose(-1, -2), softcap)  # (n_kv, rows * asks, head_length)
    if window is not None:
        at = reach.queries[:, None, :].expand(-1, asks // reach.queries.shape[1], -1).reshape(-1)
        far = at[:, None] - torch.arange(head.shape[-1], device=at.device)[None] >= window
        head.masked_fill_(far[None], torch.finfo(head.dtype).min)
    peak = head.amax(dim=-1, keepdim=True).view(n_kv, rows, asks, 1).transpose(0, 1)
    peak = torch.maximum(peak, own.amax(dim=-1, keepdim=True))  # (rows, n_kv_heads, asks, 1)
    head = head.sub_(peak.transpose(0, 1).reshape(n_kv, rows * asks, 1)).exp_()
    own = own.sub_(peak).exp_()
    total = head.sum(dim=-1).view(n_kv, rows, asks, 1).transpose(0, 1) + own.sum(-1, keepdim=True)
    from_head = (head.to(value.dtype) @ head_value).view(n_kv, rows, asks, d_head).transpose(0, 1)
    from_own = own.to(value.dtype) @ value
    mixed: Tensor = (from_head.float() + from_own.float()) / total
    return mixed


def install(model: Any) -> bool:
    """Let a transformers model use `attend` from now on; False if it cannot switch attention."""
    if not model._can_set_attn_implementation():
        return False
    AttentionInterface.register(ATTENTION, attend)
    model.set_attn_implementation(ATTENTION)
    return True
