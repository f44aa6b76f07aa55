"""Batched interventions on a target model: read, replace, continue. Built on nnsight.

A *stem* is a run of tokens shared by several *branches*; it is computed once and its key-value
cache is expanded to the branches. A branch may replace the residual stream at its first token: the
output of every decoder layer of a block is overwritten with one vector there. Everything is
left-padded; position ids count real tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import nnsight
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from introspect_bench.benchmark.backends.models.target_model import TargetModel
from introspect_bench.benchmark.errors import UsageError


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
    """One forward pass in which each row's patch is written at its column of `input_ids`.

    Returns logits (rows, kept, vocabulary) and the key-value cache, None if the model returned
    none.
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
        cache = nnsight.save(target.trace.output.past_key_values)
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
    """Whether some layer attends to a window, which padding inside a shared prefix would use up."""
    return getattr(target.model.config.get_text_config(), "sliding_window", None) is not None


def start(target: TargetModel, stems: Sequence[Stem]) -> Flow:
    """Compute stems once, expand them to their branches, and run the branches' tokens, in order."""
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
            cache = target.model(
                input_ids=head.ids,
                attention_mask=head.mask,
                position_ids=position_ids(head.mask),
                use_cache=True,
                logits_to_keep=1,
            ).past_key_values
            index = torch.tensor(owner, device=target.device)
            cache.batch_select_indices(index)
        mask = torch.cat([head.mask[index], tail.mask], dim=1)
        inputs["past_key_values"] = cache
    positions = position_ids(mask)[:, -tail.ids.shape[1] :]
    inputs |= {"input_ids": tail.ids, "attention_mask": mask, "position_ids": positions}
    logits, cache = patched_forward(target, inputs, branches, columns)
    return Flow(logits=logits[:, -1].float(), mask=mask, cache=cache)


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
            past_key_values=flow.cache,
            use_cache=True,
            logits_to_keep=1,
        )
    return Flow(logits=output.logits[:, -1].float(), mask=mask, cache=output.past_key_values)


Replace = Callable[[Tensor], Tensor]
"""Maps residuals, float32 (n, width, d_model), to what takes their place, same shape."""


class _DeepestReachedError(Exception):
    """Ends a forward pass; never leaves this module."""


def window_residuals(
    target: TargetModel, ids: Tensor, *, bos: int, layers: Sequence[int]
) -> dict[int, Tensor]:
    """Residuals at some layers behind the token `bos`, float32 (n, width, d_model), in one pass."""
    unknown = [layer for layer in layers if not 0 <= layer < target.n_layers]
    if unknown or not layers:
        raise UsageError(f"layers {list(layers)}: the target has layers 0 to {target.n_layers - 1}")
    found: dict[int, Tensor] = {}
    deepest = max(layers)

    def keep(layer: int) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            hidden = output[0] if isinstance(output, tuple) else output
            found[layer] = hidden[:, 1:].float()
            if layer == deepest:
                raise _DeepestReachedError

        return hook

    hooks = {layer: keep(layer) for layer in layers}
    with suppress(_DeepestReachedError), torch.inference_mode(), _hooks(target, hooks):
        target.model(input_ids=_after(bos, ids, target), use_cache=False, logits_to_keep=1)
    # not inference tensors: a training step may save them for its backward pass
    return {layer: found[layer].clone() for layer in layers}


def residual_arrays(
    target: TargetModel, ids: npt.NDArray[np.int32], *, bos: int, layers: Sequence[int]
) -> dict[int, npt.NDArray[np.float32]]:
    """The same from and into arrays; ids are int32 (n, width)."""
    read = window_residuals(target, torch.from_numpy(ids.astype(np.int64)), bos=bos, layers=layers)
    return {layer: residuals.cpu().numpy() for layer, residuals in read.items()}


def spliced_losses(
    target: TargetModel,
    ids: Tensor,
    *,
    bos: int,
    layer: int | None = None,
    replace: Replace | None = None,
) -> Tensor:
    """Next-token cross-entropy of windows while one layer's output is replaced.

    The token before the window keeps its own residual. Counted are the predictions made at window
    positions, which the replacement can change: tokens 2 to `width` of each window.

    Args:
        target: the target model.
        ids: token ids of the windows, int64 (n, width).
        bos: the token read before every window.
        layer: 0-based decoder layer whose output is replaced; None for none.
        replace: gives the replacement.

    Returns:
        Losses in nats, float32 (n, width - 1).
    """

    def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        assert replace is not None
        hidden = output[0] if isinstance(output, tuple) else output
        new = torch.cat([hidden[:, :1], replace(hidden[:, 1:].float()).to(hidden)], dim=1)
        return (new, *output[1:]) if isinstance(output, tuple) else new

    hooks = {} if layer is None or replace is None else {layer: hook}
    with torch.inference_mode(), _hooks(target, hooks):
        logits = target.model(input_ids=_after(bos, ids, target), use_cache=False).logits
        predicted = logits[:, 1:-1].float()  # (n, width - 1, vocabulary)
        losses: Tensor = nn.functional.cross_entropy(
            predicted.transpose(1, 2), ids[:, 1:].to(predicted.device), reduction="none"
        )
    return losses


def _after(bos: int, ids: Tensor, target: TargetModel) -> Tensor:
    start = ids.new_full((len(ids), 1), bos)
    return torch.cat([start, ids], dim=1).to(target.device)


@contextmanager
def _hooks(target: TargetModel, hooks: dict[int, Callable[..., Any]]) -> Iterator[None]:
    handles = [target.modules[layer].register_forward_hook(hook) for layer, hook in hooks.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
