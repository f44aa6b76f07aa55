"""Writes vectors into a running model, as an `Injection` declares.

Owns `Injector` (the choice bound to a loaded model), the places in a batch, and where a model keeps
its decoder layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from ...errors import UsageError
from .learned import Learned, check_learned
from .spec import Injection, matched_layer

UNIT = 0.01
"""How far from 1 the length of a direction can be: float16 rounds it by less."""
EMBEDDING_CHUNK = 8192
"""Vocabulary rows whose norms are taken at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """Places of a padded batch where vectors enter."""

    rows: torch.Tensor
    """Row of each slot, int64 (n_slots,)."""
    columns: torch.Tensor
    """Column of each slot in the padded batch, int64 (n_slots,)."""
    vectors: torch.Tensor
    """float32 (n_slots, d_model)."""
    layers: torch.Tensor | None = None
    """First and last layer of each slot, int64 (n_slots, 2); None if the injection says it."""

    directions: torch.Tensor | None = None
    """Which vectors were of length 1 before they were mapped, bool (n_slots,); None: not mapped."""

    def only(self, chosen: torch.Tensor) -> Slots:
        """Return the slots where `chosen`, bool (n_slots,), is true."""
        return replace(
            self,
            rows=self.rows[chosen],
            columns=self.columns[chosen],
            vectors=self.vectors[chosen],
            layers=None,
            directions=None if self.directions is None else self.directions[chosen],
        )


def decoder_layers(model: Any) -> Any:
    """The model's decoder layers, as a torch ModuleList.

    Raises:
        UsageError: there is not exactly one list of `num_hidden_layers` modules.
    """
    count = model.config.get_text_config().num_hidden_layers
    found = [m for m in model.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == count]
    if len(found) != 1:
        raise UsageError(
            f"{type(model).__name__}: its decoder layers cannot be told apart, so vectors can "
            "only be injected with mode 'embedding'"
        )
    return found[0]


class Injector:
    """One injection bound to one model."""

    def __init__(self, model: Any, injection: Injection, learned: Learned | None = None) -> None:
        """Bind.

        Args:
            model: a causal language model.
            injection: how vectors enter.
            learned: its learned parts; nothing is learned if None.

        Raises:
            UsageError: the model has no such layer or another width, or a learned part is missing
                or left over.
        """
        learned = learned or Learned()
        check_learned(injection, learned)
        self.injection = injection
        self.log_scale: torch.nn.Parameter | None = None
        """The learned factor's logarithm, float32 (); a parameter so that it can be trained."""
        if learned.log_scale is not None:
            start = torch.tensor(learned.log_scale, dtype=torch.float32, device=model.device)
            self.log_scale = torch.nn.Parameter(start)
        self.projection = learned.projection
        """Maps into the model's width, or None."""
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
            self._check_layer(injection.layer)

    def mean_embedding_norm(self) -> float:
        """Mean L2 norm of what the embedding module gives over the whole vocabulary.

        Taken from the module's output, because some families (Gemma 3) scale inside it.
        """
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
        """Act on the chosen layers while the body runs; does nothing in mode `embedding`.

        Raises:
            UsageError: a query's own layers are not all in this model.
        """
        handles: list[Any] = []
        try:
            for index, there in self._acting(slots):
                handles.append(self._layers[index].register_forward_hook(self._hook(there)))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _acting(self, slots: Slots | None) -> list[tuple[int, Slots]]:
        """Layers that are acted on, each with its slots."""
        if slots is None or self.injection.mode == "embedding":
            return []
        mapped = self._mapped(slots)
        if not self.injection.own:
            assert self.injection.layer is not None
            return [(self.injection.layer, mapped)]
        if slots.layers is None:
            raise UsageError("a query names no layers of its own; use another injection")
        maps, count = self.injection.projection, len(self._layers)
        own = [
            [matched_layer(layer, maps.n_layers if maps else count, count) for layer in pair]
            for pair in slots.layers.tolist()
        ]
        self._check_layer(max(last for _, last in own))
        found = []
        for index in range(count):
            inside = torch.tensor([first <= index <= last for first, last in own])
            if inside.any():
                found.append((index, mapped.only(inside.to(slots.rows.device))))
        return found

    def _mapped(self, slots: Slots) -> Slots:
        """The slots with their vectors in the model's own width."""
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
            found = self._embed(cosines.topk(count).indices.flatten()).float()
        return replace(slots, vectors=found)

    def _check_layer(self, layer: int) -> None:
        if layer >= len(self._layers):
            raise UsageError(
                f"injection layer {layer}: this explainer has layers 0 to {len(self._layers) - 1}"
            )

    def _hook(self, slots: Slots) -> Any:
        """A forward hook that changes a layer's output at some slots."""

        def hook(_module: Any, _inputs: Any, output: Any) -> Any:
            hidden = output[0] if isinstance(output, tuple) else output
            changed = self._changed(hidden, slots)
            return (changed, *output[1:]) if isinstance(output, tuple) else changed

        return hook

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

    def _changed(self, hidden: torch.Tensor, slots: Slots) -> torch.Tensor:
        """Layer output (rows, width, d_model) with the vectors added or written at the slots."""
        there = hidden[slots.rows, slots.columns].float()  # (n_slots, d_model)
        vectors = self._sized(slots, there.norm(dim=-1, keepdim=True))
        if self.injection.mode == "add":
            vectors = there + vectors
        hidden = hidden.clone()
        hidden[slots.rows, slots.columns] = vectors.to(hidden.dtype)
        return hidden


def _directions(vectors: torch.Tensor) -> torch.Tensor:
    """Which vectors (n_slots, d_target) are directions: of length 1; bool (n_slots,)."""
    found: torch.Tensor = (vectors.norm(dim=-1) - 1).abs() < UNIT
    return found
