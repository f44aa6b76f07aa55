"""Batched interventions on a target model: read, replace, continue. Built mostly on nnsight.

A *stem* is a run of tokens shared by several *branches*; it is computed once and its key-value
cache is expanded to the branches. A branch may replace the residual stream at its first token: the
output of every decoder layer of a block is overwritten with one vector there. Everything is
left-padded; position ids count real tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import nnsight
import numpy as np
import numpy.typing as npt
import torch

from ...errors import UsageError
from ..injection.hooks import hidden_of, hooked
from ..models.batch import cache_of, check_finite, pad, position_ids, with_cache
from ..models.target_model import TargetModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One continuation of a stem, with or without a patch."""

    ids: tuple[int, ...]  # tokens after the stem, at least one
    layers: tuple[int, int] | None = None  # first and last of the patched block, or no patch
    vector: torch.Tensor | None = None  # written at the first token, (d_model,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stem:
    """Tokens shared by all of its branches."""

    ids: tuple[int, ...]  # shared tokens, possibly none
    branches: tuple[Branch, ...]  # at least one


def residuals(
    target: TargetModel, rows: Sequence[Sequence[int]], positions: Sequence[Sequence[int]]
) -> list[torch.Tensor]:
    """Residuals after every layer of a clean pass, (n_positions, n_layers, d_model) by prompt."""
    batch = pad(rows, target)
    width = batch.ids.shape[1]
    row_index = torch.tensor([i for i, places in enumerate(positions) for _ in places])
    column = torch.tensor(
        [width - len(rows[i]) + place for i, places in enumerate(positions) for place in places]
    )
    envoys = target.envoys
    inputs = batch.inputs(logits_to_keep=1)
    with torch.inference_mode(), target.trace.trace(**inputs):
        reads = []
        for layer in range(target.n_layers):
            reads.append(hidden_of(envoys[layer].output)[row_index, column].clone())
        saved = nnsight.save(reads)
    stacked = torch.stack(list(saved), dim=1)  # (n_reads, n_layers, d_model)
    check_finite(stacked, lambda read: prompt_name(target, rows[int(row_index[read])]))
    return list(torch.split(stacked, [len(places) for places in positions]))


def patched_forward(
    target: TargetModel,
    inputs: dict[str, Any],
    branches: Sequence[Branch],
    columns: Sequence[int],
) -> tuple[torch.Tensor, object]:
    """Logits (rows, kept, vocabulary) and cache of a pass with each row's patch at its column."""
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
            hidden_of(envoys[layer].output)[rows, column[rows]] = vectors[rows]
        logits = nnsight.save(target.trace.output.logits)
        cache = nnsight.save(cache_of(target.trace.output))
    return logits, cache


@dataclass(slots=True, kw_only=True)
class Flow:
    """State of a batch of branches between two decoding steps."""

    logits: torch.Tensor  # last-position logits, float32 (rows, vocabulary)
    mask: torch.Tensor  # attention mask so far, int64 (rows, width)
    cache: object  # key-value cache of the rows
    names: Sequence[str]  # what each row asks, for errors

    def __post_init__(self) -> None:
        """Refuse logits that tell nothing."""
        check_finite(self.logits, self.names.__getitem__)


def prompt_name(target: TargetModel, ids: Sequence[int], branch: Branch | None = None) -> str:
    """How errors name a prompt of the target: how it ends, and its patch."""
    block = branch and branch.layers
    patch = f" patched in layers {block[0]} to {block[1]}" if block else ""
    return f"the target on {target.tokenizer.decode(list(ids))[-80:]!r}{patch}"


def slides(target: TargetModel) -> bool:
    """Whether some layer attends to a window, which padding inside a shared prefix would use up."""
    return getattr(target.model.config.get_text_config(), "sliding_window", None) is not None


def start(target: TargetModel, stems: Sequence[Stem]) -> Flow:
    """Compute stems once, expand them to their branches, and run the branches' tokens, in order."""
    branches = [branch for stem in stems for branch in stem.branches]
    owner = [index for index, stem in enumerate(stems) for _ in stem.branches]
    shares = any(stem.ids for stem in stems) and not slides(target)
    shared = [() if shares else stem.ids for stem in stems]
    tail = pad([(*shared[i], *b.ids) for i, b in zip(owner, branches, strict=True)], target)
    columns = [tail.ids.shape[1] - len(branch.ids) for branch in branches]
    inputs: dict[str, Any] = {"use_cache": True, "logits_to_keep": 1}
    mask = tail.mask
    if shares:
        head = pad([stem.ids for stem in stems], target)
        with torch.inference_mode():
            cache = cache_of(target.model(**head.inputs(use_cache=True, logits_to_keep=1)))
            index = torch.tensor(owner, device=target.device)
            cache.batch_select_indices(index)
        mask = torch.cat([head.mask[index], tail.mask], dim=1)
        inputs |= with_cache(cache)
    positions = position_ids(mask)[:, -tail.ids.shape[1] :]
    inputs |= {"input_ids": tail.ids, "attention_mask": mask, "position_ids": positions}
    logits, cache = patched_forward(target, inputs, branches, columns)
    names = [
        prompt_name(target, (*stems[i].ids, *branch.ids), branch)
        for i, branch in zip(owner, branches, strict=True)
    ]
    return Flow(logits=logits[:, -1].float(), mask=mask, cache=cache, names=names)


def step(target: TargetModel, flow: Flow, tokens: torch.Tensor, keep: torch.Tensor) -> Flow:
    """Append its next token to each row in `keep`; `tokens` are int64 (rows,) for all rows."""
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
    names = [flow.names[row] for row in keep.tolist()]
    return Flow(logits=output.logits[:, -1].float(), mask=mask, cache=cache_of(output), names=names)


class _DeepestReachedError(Exception):
    """Ends a forward pass; never leaves this module."""


def residual_arrays(
    target: TargetModel, ids: npt.NDArray[np.int32], *, bos: int, layers: Sequence[int]
) -> dict[int, npt.NDArray[np.float32]]:
    """Residuals at some layers of windows (n, width), each read alone behind the token `bos`.

    For each layer float32 (n, width, d_model). Plain hooks: one pass reads several layers and stops
    after the deepest, which nnsight's engine is not made for; a test holds the two equal.
    """
    unknown = [layer for layer in layers if not 0 <= layer < target.n_layers]
    if unknown or not layers:
        raise UsageError(f"layers {list(layers)}: the target has layers 0 to {target.n_layers - 1}")
    read: dict[int, torch.Tensor] = {}

    def hook(layer: int, _module: Any, _inputs: Any, output: Any) -> None:
        read[layer] = hidden_of(output)[:, 1:].float()
        if layer == max(layers):
            raise _DeepestReachedError

    hooks = [(target.modules[layer], partial(hook, layer)) for layer in set(layers)]
    rows = np.concatenate([np.full((len(ids), 1), bos), ids], axis=1).astype(np.int64)
    with suppress(_DeepestReachedError), torch.inference_mode(), hooked(hooks):
        where = torch.from_numpy(rows).to(target.device)
        target.model(input_ids=where, use_cache=False, logits_to_keep=1)
    for layer in layers:
        check_finite(read[layer], lambda row: prompt_name(target, ids[row].tolist()))
    return {layer: read[layer].clone().cpu().numpy() for layer in layers}
