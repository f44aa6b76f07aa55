"""Rows of tokens of several lengths: padded on the left, cut into passes, grown by replies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch

from .chat import Encoded

PREFILL_TOKENS = 2048  # question tokens, padding included, that are read in one pass


def padded(
    rows: Sequence[Encoded], width: int, first: int, device: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Left-padded ids and positions, int64 (rows, width); from `first` on, padding is -1."""
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    positions = torch.full((len(rows), width), -1, dtype=torch.long)
    for index, row in enumerate(rows):
        start = width - len(row.ids)
        ids[index, start:] = torch.tensor(row.ids, dtype=torch.long)
        positions[index, start:] = torch.arange(first, first + len(row.ids))
    return ids.to(device), positions.to(device)


def grown(question: Encoded, written: Sequence[int]) -> Encoded:
    """A question with a part of its reply."""
    return replace(question, ids=(*question.ids, *written))


def joined(head: Encoded, question: Encoded) -> Encoded:
    """A question behind its head."""
    return replace(
        question,
        ids=(*head.ids, *question.ids),
        columns=(*head.columns, *(len(head.ids) + column for column in question.columns)),
        vectors=(*head.vectors, *question.vectors),
        layers=(*head.layers, *question.layers),
    )


def parts(lengths: Sequence[int]) -> Iterator[slice]:
    """Consecutive rows whose padded tokens stay within `PREFILL_TOKENS`."""
    start, longest = 0, 0
    for index, length in enumerate(lengths):
        longest = max(longest, length)
        if index > start and (index + 1 - start) * longest > PREFILL_TOKENS:
            yield slice(start, index)
            start, longest = index, length
    yield slice(start, len(lengths))
