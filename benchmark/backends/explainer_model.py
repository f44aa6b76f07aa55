"""A language model with vectors in its prompts as one trainable module.

Owns the loss: mean negative log-likelihood over answer tokens alone, in nats. The head that all
rows of a batch begin with is read once, and only the answer's places go through the output layer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from introspect_bench.benchmark.backends.injection import Injection
from introspect_bench.benchmark.backends.injector import Injector, Slots
from introspect_bench.benchmark.backends.learned import Learned
from introspect_bench.benchmark.backends.projection import Projection


class TrainedExplainer(nn.Module):
    """Wraps a model, with or without an adapter, so that a Trainer can train it."""

    def __init__(
        self,
        model: Any,
        injection: Injection,
        *,
        inner: Any = None,
        projection: Projection | None = None,
    ) -> None:
        """Bind.

        Args:
            model: what has the weights: a causal language model, or PEFT's wrapper of one.
            injection: how vectors enter.
            inner: the causal language model itself, if `model` is a wrapper.
            projection: maps that vectors go through at first, if the injection declares any.

        Raises:
            UsageError: the injection does not fit the model or the projection.
        """
        super().__init__()
        self.model = model
        self._inner = [inner if inner is not None else model]  # a list: not a submodule twice
        start = 0.0 if injection.scaling == "learned" else None
        learned = Learned(log_scale=start, projection=projection)
        self._injector = Injector(self._inner[0], injection, learned)
        # registered here, so that they are trained and saved
        self.log_scale, self.projection = self._injector.log_scale, self._injector.projection

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
        otherwise: Tensor,
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
            otherwise: whether they enter as those of queries that name no token, bool ().
        """
        inner = self._inner[0]
        slots = None
        if len(rows):
            own = layers if len(layers) else None
            slots = Slots(
                rows=rows,
                columns=columns,
                vectors=vectors,
                layers=own,
                otherwise=bool(otherwise),
            )
        before = self._read(head, len(ids))
        places = torch.arange(len(head), len(head) + ids.shape[1], device=ids.device)
        with self._injector.during(slots):
            hidden = inner.base_model(
                inputs_embeds=self._injector.embed(ids, slots),
                attention_mask=torch.cat([mask.new_ones(len(ids), len(head)), mask], dim=1),
                position_ids=places.expand(len(ids), -1),
                past_key_values=before,
                use_cache=before is not None,
            ).last_hidden_state
        there = answers != -100
        logits = inner.get_output_embeddings()(hidden[there]).float()
        cap = getattr(inner.config.get_text_config(), "final_logit_softcapping", None)
        if cap is not None:  # Gemma 2
            logits = cap * (logits / cap).tanh()
        loss = nn.functional.cross_entropy(logits, answers[there])
        for learned in self._injector.parameters():
            # distributed training wants every parameter in every step, vectors or none
            loss = loss + 0 * learned.sum()
        return {"loss": loss, "n": there.sum()}

    def learned(self) -> Learned:
        """The injection's learned parts as they are now."""
        return self._injector.learned()

    def _read(self, head: Tensor, n: int) -> DynamicCache | None:
        """Keys and values of the head for `n` rows, which gradients flow back through."""
        if not len(head):
            return None
        base = self._inner[0].base_model
        read: DynamicCache = base(input_ids=head[None], use_cache=True).past_key_values
        read.batch_repeat_interleave(n)
        return read
