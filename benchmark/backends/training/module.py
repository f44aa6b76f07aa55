"""A language model with vectors in its prompts as one trainable module.

Owns the loss: mean negative log-likelihood over answer tokens alone, in nats. The head that all
rows of a batch begin with is read once, and only the answer's places go through the output layer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from ...errors import UsageError
from ..injection.hooks import Injector, Slots
from ..injection.learned import Learned
from ..injection.projection import Projection
from ..injection.spec import Injections, all_injections, injection_of
from ..models.kv_cache import cache_of, with_cache


class TrainedExplainer(nn.Module):
    """Wraps a model, with or without an adapter, so that a Trainer can train it."""

    def __init__(
        self,
        model: Any,
        injection: Injections,
        *,
        inner: Any = None,
        projection: Projection | None = None,
    ) -> None:
        """Bind.

        Args:
            model: what has the weights: a causal language model, or PEFT's wrapper of one.
            injection: how vectors enter.
            inner: the causal language model itself, if `model` is a wrapper.
            projection: maps that vectors go through at first, if an injection declares any.

        Raises:
            UsageError: an injection does not fit the model or the projection, or two tasks learn a
                scale.
        """
        super().__init__()
        self.model = model
        self._inner = [inner if inner is not None else model]  # a list: not a submodule twice
        self.injection = injection
        ways = all_injections(injection)
        start = Learned(
            log_scale=0.0 if any(way.scaling == "learned" for way in ways) else None,
            projection=projection,
        )
        self._injectors = {way: Injector(self._inner[0], way, start.used_by(way)) for way in ways}
        # registered here, so that they are trained and saved
        scales = [one.log_scale for one in self._injectors.values() if one.log_scale is not None]
        if len(scales) > 1:
            raise UsageError("one learned scale is trained; choose another scaling for other tasks")
        self.log_scale = scales[0] if scales else None
        self.projection = projection

    def forward(
        self,
        head: Tensor,
        ids: Tensor,
        mask: Tensor,
        answers: Tensor,
        rows: Tensor,
        columns: Tensor,
        layers: Tensor,
        vectors: Tensor,
        task: str,
        kind: str = "",  # noqa: ARG002
    ) -> dict[str, Tensor]:
        """Return `loss` over the answer tokens, and `n`, how many there are.

        Args:
            head: token ids that every row begins with, int64 (n_head,), possibly none.
            ids: token ids after it, int64 (n, width).
            mask: 1 for tokens that are read, int64 (n, width).
            answers: token to predict at each place or -100, int64 (n, width).
            rows: row of each slot, int64 (n_slots,).
            columns: column of each slot, int64 (n_slots,).
            layers: first and last layer of each slot, int64 (n_slots, 2); (0, 2) unless queries
                have their own.
            vectors: float32 (n_slots, d_target).
            task: name of the task, which says how they enter.
            kind: what is asked; a loss is told by it.
        """
        inner = self._inner[0]
        injector = self._injectors[injection_of(task, self.injection)]
        slots = None
        if len(rows):
            own = layers if len(layers) else None
            slots = Slots(rows=rows, columns=columns, vectors=vectors, layers=own)
        before = self._read(head, len(ids))
        places = torch.arange(len(head), len(head) + ids.shape[1], device=ids.device)
        with injector.during(slots):
            hidden = inner.base_model(
                inputs_embeds=injector.embed(ids, slots),
                attention_mask=torch.cat([mask.new_ones(len(ids), len(head)), mask], dim=1),
                position_ids=places.expand(len(ids), -1),
                use_cache=before is not None,
                **with_cache(before),
            ).last_hidden_state
        there = answers != -100
        logits = inner.get_output_embeddings()(hidden[there]).float()
        cap = getattr(inner.config.get_text_config(), "final_logit_softcapping", None)
        if cap is not None:  # Gemma 2
            logits = cap * (logits / cap).tanh()
        loss = nn.functional.cross_entropy(logits, answers[there])
        for learned in self._parameters_of_injection():
            # distributed training wants every parameter in every step, vectors or none
            loss = loss + 0 * learned.sum()
        return {"loss": loss, "n": there.sum()}

    def learned(self) -> Learned:
        """The injections' learned parts as they are now."""
        scale = None if self.log_scale is None else float(self.log_scale.detach())
        return Learned(log_scale=scale, projection=self.projection)

    def _parameters_of_injection(self) -> list[nn.Parameter]:
        maps = [] if self.projection is None else list(self.projection.parameters())
        return maps if self.log_scale is None else [self.log_scale, *maps]

    def _read(self, head: Tensor, n: int) -> DynamicCache | None:
        """Keys and values of the head for `n` rows, which gradients flow back through."""
        if not len(head):
            return None
        base = self._inner[0].base_model
        read: DynamicCache = cache_of(base(input_ids=head[None], use_cache=True))
        read.batch_repeat_interleave(n)
        return read
