"""How a query's vector enters an explainer: over an embedding, or into a layer's output.

Owns `Injection` (the declared choice) and `Injector` (the choice bound to a loaded model). Terms:
the *slot* is the position of the placeholder token in a prompt; the *residual* is the output of a
decoder layer there. Importing this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from introspect_bench.benchmark.errors import UsageError

if TYPE_CHECKING:
    import torch

Mode = Literal["embedding", "add", "replace"]
"""`embedding`: replaces the input embedding (arXiv:2511.08579); `add`, `replace`: acts on a layer's
output (SelfIE, Patchscopes, Activation Oracles)."""

Scaling = Literal["raw", "norm-matched"]
"""`raw`: as stored; `norm-matched`: scaled to the mean embedding norm, or to the residual's norm at
the slot."""

EMBEDDING_CHUNK = 8192
"""Vocabulary rows whose norms are taken at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """Where and at what size the vector enters; part of the run header."""

    mode: Mode = "embedding"
    """What is overwritten or added to."""
    layer: int | None = None
    """Decoder layer whose output is used, counted from 0; None for mode `embedding`."""
    scaling: Scaling = "norm-matched"
    """How the vector's length is set."""
    multiplier: float = 1.0
    """Factor on the scaled vector, above 0."""

    def __post_init__(self) -> None:
        """Refuse impossible combinations."""
        if self.mode not in get_args(Mode):
            raise UsageError(f"injection mode '{self.mode}': expected {', '.join(get_args(Mode))}")
        if self.scaling not in get_args(Scaling):
            raise UsageError(
                f"injection scaling '{self.scaling}': expected {', '.join(get_args(Scaling))}"
            )
        if self.mode == "embedding" and self.layer is not None:
            raise UsageError("injection mode 'embedding' takes no layer")
        if self.mode != "embedding" and (
            not isinstance(self.layer, int) or isinstance(self.layer, bool) or self.layer < 0
        ):
            raise UsageError(f"injection mode '{self.mode}' needs a layer, counted from 0")
        if isinstance(self.multiplier, bool) or not isinstance(self.multiplier, int | float):
            raise UsageError(f"injection multiplier {self.multiplier!r} is not a number")
        if not np.isfinite(self.multiplier) or self.multiplier <= 0:
            raise UsageError(f"injection multiplier {self.multiplier} is not above 0")

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Injection:
        """Read the declared choice, as in `{"mode": "add", "layer": 3}`.

        Raises:
            UsageError: unknown key, or an impossible combination.
        """
        unknown = sorted(set(values) - {"mode", "layer", "scaling", "multiplier"})
        if unknown:
            raise UsageError(
                f"injection key '{unknown[0]}': expected mode, layer, scaling or multiplier"
            )
        return cls(**values)

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """Places of a padded batch where vectors enter."""

    rows: torch.Tensor
    """Row of each slot, int64 (n_slots,)."""
    columns: torch.Tensor
    """Column of each slot in the padded batch, int64 (n_slots,)."""
    vectors: torch.Tensor
    """float32 (n_slots, d_model)."""


def decoder_layers(model: Any) -> Any:
    """The model's decoder layers, as a torch ModuleList.

    Raises:
        UsageError: there is not exactly one list of `num_hidden_layers` modules.
    """
    from torch import nn

    count = model.config.get_text_config().num_hidden_layers
    found = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == count]
    if len(found) != 1:
        raise UsageError(
            f"{type(model).__name__}: its decoder layers cannot be told apart, so vectors can "
            "only be injected with mode 'embedding'"
        )
    return found[0]


class Injector:
    """One injection bound to one model."""

    def __init__(self, model: Any, injection: Injection) -> None:
        """Bind.

        Raises:
            UsageError: the model has no such layer.
        """
        self.injection = injection
        self._embed = model.get_input_embeddings()
        self._layer: Any = None
        self._mean_norm: float | None = None
        if injection.layer is not None:
            layers = decoder_layers(model)
            if injection.layer >= len(layers):
                raise UsageError(
                    f"injection layer {injection.layer}: this explainer has layers 0 to "
                    f"{len(layers) - 1}"
                )
            self._layer = layers[injection.layer]

    def mean_embedding_norm(self) -> float:
        """Mean L2 norm of what the embedding module gives over the whole vocabulary.

        Taken from the module's output, because some families (Gemma 3) scale inside it.
        """
        import torch

        if self._mean_norm is None:
            n_rows = self._embed.num_embeddings
            device = self._embed.weight.device
            total = 0.0
            for start in range(0, n_rows, EMBEDDING_CHUNK):
                ids = torch.arange(start, min(start + EMBEDDING_CHUNK, n_rows), device=device)
                total += float(self._embed(ids).float().norm(dim=-1).double().sum())
            self._mean_norm = total / n_rows
        return self._mean_norm

    def embed(self, ids: torch.Tensor, slots: Slots | None) -> torch.Tensor:
        """Embed token ids (rows, width), with vectors written in if that is the mode."""
        embedded: torch.Tensor = self._embed(ids)
        if slots is None or self.injection.mode != "embedding":
            return embedded
        vectors = slots.vectors
        if self.injection.scaling == "norm-matched":
            vectors = vectors * (self.mean_embedding_norm() / vectors.norm(dim=-1, keepdim=True))
        embedded = embedded.clone()
        embedded[slots.rows, slots.columns] = (vectors * self.injection.multiplier).to(
            embedded.dtype
        )
        return embedded

    @contextmanager
    def during(self, slots: Slots | None) -> Iterator[None]:
        """Act on the chosen layer while the body runs; does nothing in mode `embedding`."""
        if slots is None or self._layer is None:
            yield
            return

        def hook(_module: Any, _inputs: Any, output: Any) -> Any:
            hidden = output[0] if isinstance(output, tuple) else output
            changed = self._changed(hidden, slots)
            return (changed, *output[1:]) if isinstance(output, tuple) else changed

        handle = self._layer.register_forward_hook(hook)
        try:
            yield
        finally:
            handle.remove()

    def _changed(self, hidden: torch.Tensor, slots: Slots) -> torch.Tensor:
        """Layer output (rows, width, d_model) with the vectors added or written at the slots."""
        there = hidden[slots.rows, slots.columns].float()  # (n_slots, d_model)
        vectors = slots.vectors * self.injection.multiplier
        if self.injection.scaling == "norm-matched":
            vectors = vectors * (
                there.norm(dim=-1, keepdim=True) / slots.vectors.norm(dim=-1, keepdim=True)
            )
        if self.injection.mode == "add":
            vectors = there + vectors
        hidden = hidden.clone()
        hidden[slots.rows, slots.columns] = vectors.to(hidden.dtype)
        return hidden
