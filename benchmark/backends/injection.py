"""How a query's vector enters an explainer: over an embedding, or into the outputs of layers.

Owns `Injection` (the declared choice) and `Injector` (the choice bound to a loaded model). Terms:
the *slot* is the position of the placeholder token in a prompt, or, with several placeholder
tokens, each of their positions; the *residual* is the output of a decoder layer there; a query's
*own layers* are those that it names, a block or a single one. Importing this module does not
import torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from introspect_bench.benchmark.errors import UsageError

if TYPE_CHECKING:
    import torch

Mode = Literal["embedding", "add", "replace", "own-layers", "quoted-token"]
"""`embedding`: replaces the input embedding (arXiv:2511.08579); `add`, `replace`: acts on one
layer's output (SelfIE, Patchscopes, Activation Oracles); `own-layers`: replaces the outputs of all
of the query's own layers at the slot; `quoted-token`: the same at the token of the quoted text that
the query names, so that a model with the target's weights computes what the target computed, and
at the slot for queries that name no token."""

QUOTED, OTHERWISE = "quoted-token", "otherwise"
"""That mode, and the key under which its record says what it does without a quoted token."""

OWN = ("own-layers", QUOTED)
"""Modes in which layers differ from query to query."""

Scaling = Literal["raw", "norm-matched", "learned"]
"""`raw`: as stored; `norm-matched`: scaled to the mean embedding norm, or to the residual's norm at
the slot; `learned`: the same times one trained number, 1 before training."""

MAX_SLOTS = 16
"""Most placeholder tokens for one vector."""

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
    slots: int = 1
    """Placeholder tokens for each vector; all of them get it."""

    def __post_init__(self) -> None:
        """Refuse impossible combinations."""
        if self.mode not in get_args(Mode):
            raise UsageError(f"injection mode '{self.mode}': expected {', '.join(get_args(Mode))}")
        if self.scaling not in get_args(Scaling):
            raise UsageError(
                f"injection scaling '{self.scaling}': expected {', '.join(get_args(Scaling))}"
            )
        if self.mode not in ("add", "replace") and self.layer is not None:
            raise UsageError(f"injection mode '{self.mode}' takes no layer")
        if self.mode in ("add", "replace") and (
            not isinstance(self.layer, int) or isinstance(self.layer, bool) or self.layer < 0
        ):
            raise UsageError(f"injection mode '{self.mode}' needs a layer, counted from 0")
        if isinstance(self.multiplier, bool) or not isinstance(self.multiplier, int | float):
            raise UsageError(f"injection multiplier {self.multiplier!r} is not a number")
        if not np.isfinite(self.multiplier) or self.multiplier <= 0:
            raise UsageError(f"injection multiplier {self.multiplier} is not above 0")
        if type(self.slots) is not int or not 1 <= self.slots <= MAX_SLOTS:
            raise UsageError(f"injection slots {self.slots!r}: expected 1 to {MAX_SLOTS}")

    @property
    def own(self) -> bool:
        """Whether layers differ from query to query."""
        return self.mode in OWN

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Injection:
        """Read the declared choice, as in `{"mode": "add", "layer": 3}`.

        Raises:
            UsageError: unknown key, or an impossible combination.
        """
        values = dict(values)
        if values.get("mode") == QUOTED and values.pop(OTHERWISE, "own-layers") != "own-layers":
            raise UsageError(f"injection mode '{QUOTED}': {OTHERWISE} is own-layers, nothing else")
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise UsageError(f"injection key '{unknown[0]}': expected {', '.join(known)}")
        return cls(**values)

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values.

        The first run files knew no slots, so a single one is left out; mode `quoted-token` also
        says what happens to queries that name no token.
        """
        values = asdict(self)
        if self.slots == 1:
            del values["slots"]
        return values | ({OTHERWISE: "own-layers"} if self.mode == QUOTED else {})


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

    def only(self, chosen: torch.Tensor) -> Slots:
        """Return the slots where `chosen`, bool (n_slots,), is true."""
        return replace(
            self,
            rows=self.rows[chosen],
            columns=self.columns[chosen],
            vectors=self.vectors[chosen],
            layers=None,
        )


def own_layers(query_fields: Mapping[str, Any]) -> tuple[int, int]:
    """First and last layer that a query names: its block `layers`, or its single `layer`.

    Raises:
        UsageError: it names none.
    """
    if "layers" in query_fields:
        first, last = query_fields["layers"]
        return int(first), int(last)
    if "layer" in query_fields:
        return int(query_fields["layer"]), int(query_fields["layer"])
    raise UsageError("a query names no layers of its own; use another injection")


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

    def __init__(self, model: Any, injection: Injection, *, log_scale: float = 0.0) -> None:
        """Bind.

        Args:
            model: a causal language model.
            injection: how vectors enter.
            log_scale: natural logarithm of the learned factor; not used by other scalings.

        Raises:
            UsageError: the model has no such layer.
        """
        import torch

        self.injection = injection
        self.log_scale: torch.nn.Parameter | None = None
        """The learned factor's logarithm, float32 (); a parameter so that it can be trained."""
        if injection.scaling == "learned":
            start = torch.tensor(log_scale, dtype=torch.float32, device=model.device)
            self.log_scale = torch.nn.Parameter(start)
        self._embed = model.get_input_embeddings()
        self._mean_norm: float | None = None
        self._layers: Any = () if injection.mode == "embedding" else decoder_layers(model)
        if injection.layer is not None:
            self._check_layer(injection.layer)

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
                total += float(self._embed(ids).detach().float().norm(dim=-1).double().sum())
            self._mean_norm = total / n_rows
        return self._mean_norm

    def embed(self, ids: torch.Tensor, slots: Slots | None) -> torch.Tensor:
        """Embed token ids (rows, width), with vectors written in if that is the mode."""
        embedded: torch.Tensor = self._embed(ids)
        if slots is None or self.injection.mode != "embedding":
            return embedded
        vectors = slots.vectors
        if self.injection.scaling != "raw":
            vectors = vectors * (self.mean_embedding_norm() / vectors.norm(dim=-1, keepdim=True))
        embedded = embedded.clone()
        embedded[slots.rows, slots.columns] = self._sized(vectors).to(embedded.dtype)
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
        if not self.injection.own:
            assert self.injection.layer is not None
            return [(self.injection.layer, slots)]
        if slots.layers is None:
            raise UsageError("a query names no layers of its own; use another injection")
        first, last = slots.layers.unbind(dim=1)
        self._check_layer(int(last.max()))
        inside = [
            (index, (first <= index) & (index <= last))
            for index in range(int(first.min()), int(last.max()) + 1)
        ]
        return [(index, slots.only(chosen)) for index, chosen in inside if bool(chosen.any())]

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

    def _sized(self, vectors: torch.Tensor) -> torch.Tensor:
        """Vectors times the multiplier and the learned factor."""
        vectors = vectors * self.injection.multiplier
        return vectors if self.log_scale is None else vectors * self.log_scale.exp()

    def _changed(self, hidden: torch.Tensor, slots: Slots) -> torch.Tensor:
        """Layer output (rows, width, d_model) with the vectors added or written at the slots."""
        there = hidden[slots.rows, slots.columns].float()  # (n_slots, d_model)
        vectors = self._sized(slots.vectors)
        if self.injection.scaling != "raw":
            vectors = vectors * (
                there.norm(dim=-1, keepdim=True) / slots.vectors.norm(dim=-1, keepdim=True)
            )
        if self.injection.mode == "add":
            vectors = there + vectors
        hidden = hidden.clone()
        hidden[slots.rows, slots.columns] = vectors.to(hidden.dtype)
        return hidden
