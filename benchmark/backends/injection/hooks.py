"""Writes vectors into a running model, as an `Injection` declares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import torch

from ...errors import UsageError
from .learned import Learned, check_learned
from .spec import Injection, matched_layer

UNIT = 0.01  # how far from 1 the length of a direction can be; rounding to float16 moves it by less
EMBEDDING_CHUNK = 8192  # vocabulary rows whose norms are taken at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """Places of a padded batch where vectors enter."""

    rows: torch.Tensor  # row of each slot, int64 (n_slots,)
    columns: torch.Tensor  # column of each slot in the padded batch, int64 (n_slots,)
    vectors: torch.Tensor  # float32 (n_slots, d_model)
    layers: torch.Tensor | None = None  # first and last, int64 (n_slots, 2); None: all alike
    directions: torch.Tensor | None = None  # of length 1 before they were mapped, bool (n_slots,)

    def on(self, device: torch.device) -> Slots:
        """Return the slots on a device."""
        if self.rows.device == device:
            return self
        parts: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        moved = {name: part.to(device) for name, part in parts.items() if part is not None}
        return Slots(**moved)

    def only(self, chosen: torch.Tensor) -> Slots:
        """Return the slots where `chosen`, bool (n_slots,), is true, without their layers."""
        return Slots(
            rows=self.rows[chosen],
            columns=self.columns[chosen],
            vectors=self.vectors[chosen],
            directions=None if self.directions is None else self.directions[chosen],
        )


def decoder_layers(model: Any) -> Any:
    """The model's decoder layers, as a torch ModuleList."""
    count = model.config.get_text_config().num_hidden_layers
    lists = [m for m in model.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == count]
    if len(lists) != 1:
        raise UsageError(
            f"{type(model).__name__}: its decoder layers cannot be told apart, so vectors can "
            "only be injected with mode 'embedding'"
        )
    return lists[0]


def check_layer(layer: int, count: int) -> None:
    """Refuse a layer that an explainer with `count` layers has not."""
    if layer >= count:
        raise UsageError(f"injection layer {layer}: this explainer has layers 0 to {count - 1}")


@contextmanager
def hooked(hooks: Iterable[tuple[torch.nn.Module, Any]]) -> Iterator[None]:
    """Have modules call forward hooks while the body runs."""
    with ExitStack() as stack:
        for module, hook in hooks:
            stack.callback(module.register_forward_hook(hook).remove)
        yield


def hidden_of(output: Any) -> torch.Tensor:
    """Hidden states (rows, width, d_model) in what a decoder layer returns."""
    hidden: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return hidden


def rewriting(write: Callable[[torch.Tensor], torch.Tensor]) -> Callable[..., Any]:
    """A forward hook that replaces the hidden states in a layer's output."""

    def hook(_module: Any, _inputs: Any, output: Any) -> Any:
        written = write(hidden_of(output))
        return (written, *output[1:]) if isinstance(output, tuple) else written

    return hook


class Injector:
    """One injection bound to one model."""

    def __init__(self, model: Any, injection: Injection, learned: Learned | None = None) -> None:
        """Bind; refuses a layer or width the model lacks, and learned parts that do not fit."""
        learned = learned or Learned()
        check_learned(injection, learned)
        self.injection = injection
        self.log_scale: torch.nn.Parameter | None = None  # float32 (); it can be trained
        if learned.log_scale is not None:
            start = torch.tensor(learned.log_scale, dtype=torch.float32, device=model.device)
            self.log_scale = torch.nn.Parameter(start)
        self.projection = learned.projection
        width = model.config.get_text_config().hidden_size
        if self.projection is not None:
            self.projection.to(model.device)
            if self.projection.d_explainer != width:
                raise UsageError(
                    f"the projection leads to width {self.projection.d_explainer}, but this "
                    f"explainer has width {width}"
                )
        self._embed = model.get_input_embeddings()
        self._mean_norm: float | None = None
        self._layers: Any = () if injection.mode == "embedding" else decoder_layers(model)
        if injection.layer is not None:
            check_layer(injection.layer, len(self._layers))

    def mean_embedding_norm(self) -> float:
        """Mean L2 norm of the embedding module's outputs, inside which some families scale."""
        if self._mean_norm is None:
            n_rows = self._embed.num_embeddings
            device = self._embed.weight.device
            total = 0.0
            for start in range(0, n_rows, EMBEDDING_CHUNK):
                ids = torch.arange(start, min(start + EMBEDDING_CHUNK, n_rows), device=device)
                total += float(self._embed(ids).detach().float().norm(dim=-1).double().sum())
            self._mean_norm = total / n_rows
        return self._mean_norm

    def embed(self, ids: torch.Tensor, slots: Slots | None) -> torch.Tensor:
        """Embed token ids (rows, width), with vectors written in if that is the mode."""
        embedded: torch.Tensor = self._embed(ids)
        if slots is None or self.injection.mode != "embedding":
            return embedded
        slots = self._mapped(slots)
        if self.injection.projection is not None and self.injection.projection.nearest:
            slots = self._nearest(slots)
        norm = slots.vectors.new_full((len(slots.vectors), 1), self.mean_embedding_norm())
        embedded = embedded.clone()
        embedded[slots.rows, slots.columns] = self._sized(slots, norm).to(embedded.dtype)
        return embedded

    @contextmanager
    def during(self, slots: Slots | None) -> Iterator[None]:
        """Act on the chosen layers while the body runs; does nothing in mode `embedding`."""
        acting = self._acting(slots)
        hooks = [(self._layers[i], rewriting(partial(self._changed, at))) for i, at in acting]
        with hooked(hooks):
            yield

    def _acting(self, slots: Slots | None) -> list[tuple[int, Slots]]:
        if slots is None or self.injection.mode == "embedding":
            return []
        mapped = self._mapped(slots)
        if not self.injection.own:
            assert self.injection.layer is not None
            return [(self.injection.layer, mapped)]
        if slots.layers is None:
            raise UsageError("a query names no layers of its own; use another injection")
        maps, count = self.injection.projection, len(self._layers)
        n_target = maps.n_layers if maps else count
        own = [[matched_layer(n, n_target, count) for n in pair] for pair in slots.layers.tolist()]
        check_layer(max(last for _, last in own), count)
        inside = torch.tensor([[low <= i <= high for low, high in own] for i in range(count)])
        inside = inside.to(slots.rows.device)
        return [(i, mapped.only(there)) for i, there in enumerate(inside) if there.any()]

    def _mapped(self, slots: Slots) -> Slots:
        if self.projection is None or self.injection.projection is None:
            return slots
        mapped = self.projection(slots.vectors, slots.layers)
        return replace(slots, vectors=mapped, directions=_directions(slots.vectors))

    def _nearest(self, slots: Slots) -> Slots:
        """The slots with the embeddings nearest to their vectors; a vector's slots are in a row."""
        count = self.injection.slots
        with torch.no_grad():
            weight = self._embed.weight.float()
            norms = weight.norm(dim=-1).clamp_min(torch.finfo(torch.float32).tiny)
            cosines = slots.vectors[::count] @ weight.T / norms  # times the vector's own length
            nearest = self._embed(cosines.topk(count).indices.flatten()).float()
        return replace(slots, vectors=nearest)

    def _sized(self, slots: Slots, norm: torch.Tensor) -> torch.Tensor:
        """Vectors (n_slots, d_model) at the length they enter with, where `norm` (n_slots, 1)."""
        vectors = slots.vectors
        own = vectors.norm(dim=-1, keepdim=True)
        scale = torch.full_like(own, self.injection.multiplier)
        if self.injection.scaling == "natural":
            known = slots.directions
            directions = _directions(vectors) if known is None else known
            scale = torch.where(directions[:, None], scale * norm / own, scale)
        elif self.injection.scaling != "raw":
            scale = scale * norm / own
        return vectors * (scale if self.log_scale is None else scale * self.log_scale.exp())

    def _changed(self, slots: Slots, hidden: torch.Tensor) -> torch.Tensor:
        """Layer output (rows, width, d_model) with the vectors added or written at the slots."""
        slots = slots.on(hidden.device)  # a layer may have another device than the input
        there = hidden[slots.rows, slots.columns].float()  # (n_slots, d_model)
        vectors = self._sized(slots, there.norm(dim=-1, keepdim=True))
        if self.injection.mode == "add":
            vectors = there + vectors
        hidden = hidden.clone()
        hidden[slots.rows, slots.columns] = vectors.to(hidden.dtype)
        return hidden


def _directions(vectors: torch.Tensor) -> torch.Tensor:
    """Which vectors (n_slots, d_target) are directions: of length 1; bool (n_slots,)."""
    directions: torch.Tensor = (vectors.norm(dim=-1) - 1).abs() < UNIT
    return directions
