"""Batched interventions on a target model: read, replace, continue. Built on nnsight.

Terms. A *stem* is a run of tokens shared by several *branches*; it is computed once and its
key-value cache is expanded to the branches. A branch may replace the residual stream at its first
token: the output of every decoder layer of a block is overwritten with one vector there. Everything
is left-padded; position ids count real tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import nnsight
import torch

from ..models.kv_cache import cache_of, with_cache
from ..models.target_model import TargetModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One continuation of a stem, with or without a patch."""

    ids: tuple[int, ...]
    """Tokens after the stem, at least one."""
    layers: tuple[int, int] | None = None
    """First and last layer of the patched block, inclusive; None for no patch."""
    vector: torch.Tensor | None = None
    """Replacement for the residual stream at the branch's first token, shape (d_model,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stem:
    """Tokens shared by all of its branches."""

    ids: tuple[int, ...]
    """Shared tokens, possibly none."""
    branches: tuple[Branch, ...]
    """At least one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Padded:
    """A left-padded batch."""

    ids: torch.Tensor
    """Token ids, int64 (rows, width)."""
    mask: torch.Tensor
    """1 for real tokens, int64 (rows, width)."""


def pad(rows: Sequence[Sequence[int]], target: TargetModel, *, side: str = "left") -> Padded:
    """Pad token rows to one width, on the left by default."""
    width = max(len(row) for row in rows)
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for index, row in enumerate(rows):
        where = slice(width - len(row), width) if side == "left" else slice(0, len(row))
        ids[index, where] = torch.tensor(row, dtype=torch.long)
        mask[index, where] = 1
    return Padded(ids=ids.to(target.device), mask=mask.to(target.device))


def position_ids(mask: torch.Tensor) -> torch.Tensor:
    """Positions that count real tokens only, int64, same shape as `mask`; pads get 0."""
    return (mask.cumsum(-1) - 1).clamp(min=0)


def residuals(
    target: TargetModel, rows: Sequence[Sequence[int]], positions: Sequence[Sequence[int]]
) -> list[torch.Tensor]:
    """Residual stream after every layer at chosen positions, from one clean pass.

    Args:
        target: the target model.
        rows: token ids of each prompt.
        positions: for each prompt, 0-based token indices to read.

    Returns:
        For each prompt a tensor (n_positions, n_layers, d_model) in the model's dtype.
    """
    batch = pad(rows, target)
    width = batch.ids.shape[1]
    row_index = torch.tensor([i for i, places in enumerate(positions) for _ in places])
    column = torch.tensor(
        [width - len(rows[i]) + place for i, places in enumerate(positions) for place in places]
    )
    envoys = target.envoys
    with (
        torch.inference_mode(),
        target.trace.trace(
            input_ids=batch.ids,
            attention_mask=batch.mask,
            position_ids=position_ids(batch.mask),
            use_cache=False,
            logits_to_keep=1,
        ),
    ):
        reads = []
        for layer in range(target.n_layers):
            output = envoys[layer].output
            hidden = output[0] if isinstance(output, tuple) else output
            reads.append(hidden[row_index, column].clone())
        saved = nnsight.save(reads)
    stacked = torch.stack(list(saved), dim=1)  # (n_reads, n_layers, d_model)
    return list(torch.split(stacked, [len(places) for places in positions]))


def patched_forward(
    target: TargetModel,
    inputs: dict[str, object],
    branches: Sequence[Branch],
    columns: Sequence[int],
) -> tuple[torch.Tensor, object]:
    """One forward pass in which each row's patch is written at its column.

    Args:
        target: the target model.
        inputs: keyword arguments of the model, batch in row order of `branches`.
        branches: one per row; rows without a patch are left alone.
        columns: for each row, the column of the patched token in `input_ids`.

    Returns:
        Logits (rows, kept, vocabulary) and the key-value cache (None if the model returned none).
    """
    by_layer: dict[int, list[int]] = {}
    for row, branch in enumerate(branches):
        if branch.layers is not None:
            for layer in range(branch.layers[0], branch.layers[1] + 1):
                by_layer.setdefault(layer, []).append(row)
    vectors = torch.zeros(
        len(branches), target.d_model, device=target.device, dtype=target.model.dtype
    )
    for row, branch in enumerate(branches):
        if branch.vector is not None:
            vectors[row] = branch.vector.to(vectors)
    column = torch.tensor(list(columns), device=target.device)
    envoys = target.envoys
    with torch.inference_mode(), target.trace.trace(**inputs):
        for layer in sorted(by_layer):
            rows = torch.tensor(by_layer[layer], device=target.device)
            output = envoys[layer].output
            hidden = output[0] if isinstance(output, tuple) else output
            hidden[rows, column[rows]] = vectors[rows]
        logits = nnsight.save(target.trace.output.logits)
        cache = nnsight.save(cache_of(target.trace.output))
    return logits, cache


@dataclass(slots=True, kw_only=True)
class Flow:
    """State of a batch of branches between two decoding steps."""

    logits: torch.Tensor
    """Last-position logits, float32 (rows, vocabulary)."""
    mask: torch.Tensor
    """Attention mask so far, int64 (rows, width)."""
    cache: object
    """Key-value cache of the rows."""


def slides(target: TargetModel) -> bool:
    """Whether some layer attends to a window of columns.

    Padding between a stem and its branches would use that window up, so nothing is shared then.
    """
    return getattr(target.model.config.get_text_config(), "sliding_window", None) is not None


def start(target: TargetModel, stems: Sequence[Stem]) -> Flow:
    """Compute stems once, expand them to their branches, and run the branches' tokens.

    Rows are the branches in order, stem by stem.
    """
    branches = [branch for stem in stems for branch in stem.branches]
    owner = [index for index, stem in enumerate(stems) for _ in stem.branches]
    shares = any(stem.ids for stem in stems) and not slides(target)
    rows = [
        branch.ids if shares else (*stem.ids, *branch.ids)
        for stem in stems
        for branch in stem.branches
    ]
    tail = pad(rows, target)
    columns = [tail.ids.shape[1] - len(branch.ids) for branch in branches]
    inputs: dict[str, object] = {"use_cache": True, "logits_to_keep": 1}
    mask = tail.mask
    if shares:
        head = pad([stem.ids for stem in stems], target)
        with torch.inference_mode():
            read = target.model(
                input_ids=head.ids,
                attention_mask=head.mask,
                position_ids=position_ids(head.mask),
                use_cache=True,
                logits_to_keep=1,
            )
            cache = cache_of(read)
            index = torch.tensor(owner, device=target.device)
            cache.batch_select_indices(index)
        mask = torch.cat([head.mask[index], tail.mask], dim=1)
        inputs |= with_cache(cache)
    positions = position_ids(mask)[:, -tail.ids.shape[1] :]
    inputs |= {"input_ids": tail.ids, "attention_mask": mask, "position_ids": positions}
    logits, cache = patched_forward(target, inputs, branches, columns)
    return Flow(logits=logits[:, -1].float(), mask=mask, cache=cache)


def step(target: TargetModel, flow: Flow, tokens: torch.Tensor, keep: torch.Tensor) -> Flow:
    """Append one token to each kept row and return the next state.

    Args:
        target: the target model.
        flow: state whose logits chose the tokens.
        tokens: next token of every row, int64 (rows,).
        keep: indices of the rows that go on, int64 (kept,).
    """
    with torch.inference_mode():
        mask = flow.mask[keep]
        if len(keep) < len(flow.mask):
            flow.cache.batch_select_indices(keep)  # type: ignore[attr-defined]
        mask = torch.cat([mask, mask.new_ones(len(keep), 1)], dim=1)
        output = target.model(
            input_ids=tokens[keep, None],
            attention_mask=mask,
            position_ids=position_ids(mask)[:, -1:],
            use_cache=True,
            logits_to_keep=1,
            **with_cache(flow.cache),
        )
    return Flow(logits=output.logits[:, -1].float(), mask=mask, cache=cache_of(output))
