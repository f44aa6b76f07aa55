"""A language model with vectors in its prompts as one trainable module.

The loss is the mean negative log-likelihood over answer tokens alone, in nats. The head that all
rows of a batch begin with is read once, and only the answer's places go through the output layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from ...errors import UsageError
from ..injection.hooks import Injector, Slots
from ..injection.learned import Learned, Projection
from ..injection.spec import Injections, all_injections, injection_of
from ..models.batch import cache_of, with_cache


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
        """Bind a model; `inner` is the language model itself if `model` is PEFT's wrapper."""
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

    def forward(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Return `loss` over the answer tokens of what `collate` gives, and `n`, their number."""
        inner = self._inner[0]
        injector = self._injectors[injection_of(batch["task"], self.injection)]
        head, ids, mask, answers = (batch[name] for name in ("head", "ids", "mask", "answers"))
        slots = None
        if len(batch["rows"]):
            own = batch["layers"] if len(batch["layers"]) else None
            places = {name: batch[name] for name in ("rows", "columns", "vectors")}
            slots = Slots(**places, layers=own)
        before = self._read(head, len(ids))
        positions = torch.arange(len(head), len(head) + ids.shape[1], device=ids.device)
        with injector.during(slots):
            hidden = inner.base_model(
                inputs_embeds=injector.embed(ids, slots),
                attention_mask=torch.cat([mask.new_ones(len(ids), len(head)), mask], dim=1),
                position_ids=positions.expand(len(ids), -1),
                use_cache=before is not None,
                **with_cache(before),
            ).last_hidden_state
        there = answers != -100
        logits = inner.get_output_embeddings()(hidden[there]).float()
        cap = getattr(inner.config.get_text_config(), "final_logit_softcapping", None)
        if cap is not None:  # Gemma 2
            logits = cap * (logits / cap).tanh()
        loss = nn.functional.cross_entropy(logits, answers[there])
        maps = [] if self.projection is None else list(self.projection.parameters())
        for learned in maps if self.log_scale is None else [self.log_scale, *maps]:
            # distributed training wants every parameter in every step, vectors or none
            loss = loss + 0 * learned.sum()
        return {"loss": loss, "n": there.sum()}

    def learned(self) -> Learned:
        """The injections' learned parts as they are now."""
        scale = None if self.log_scale is None else float(self.log_scale.detach())
        return Learned(log_scale=scale, projection=self.projection)

    def _read(self, head: Tensor, n: int) -> DynamicCache | None:
        """Keys and values of the head for `n` rows, which gradients flow back through."""
        if not len(head):
            return None
        base = self._inner[0].base_model
        read: DynamicCache = cache_of(base(input_ids=head[None], use_cache=True))
        read.batch_repeat_interleave(n)
        return read
