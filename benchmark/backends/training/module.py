"""A language model with vectors in its prompts as one trainable module, and the batches it reads.

The loss is the mean negative log-likelihood over answer tokens alone, in nats. The head that all
rows of a batch begin with is read once, and only the answer's places go through the output layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import DynamicCache

from ...errors import UsageError
from ..injection.hooks import Injector, Slots
from ..injection.learned import Learned, Projection
from ..injection.spec import Injections, all_injections, injection_of
from ..models.batch import cache_of, with_cache
from ..models.batch import pad as pad_rows
from ..models.devices import usable_device
from ..models.pretrained import adapt, load_model
from .dataset import Lesson
from .spec import ExplainerSettings

WIDTH = 8  # batches are as wide as a multiple of this: every new shape costs time


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


def collate(lessons: Sequence[Lesson], *, pad: int) -> dict[str, Any]:
    """Put the examples of one template side by side, padded on the right after their `head`.

    `answers` (n, width) is the token to be predicted at each place of `ids` or -100; `rows` and
    `columns` (n_slots,), `layers` (n_slots, 2) and `vectors` (n_slots, d_target) say where vectors
    enter: `layers` is (0, 2) unless queries have their own, `vectors` (0, 0) without vectors.
    """
    first = lessons[0]
    head = first.ids[: first.n_head]
    if any((one.task, one.ids[: one.n_head]) != (first.task, head) for one in lessons):
        raise ValueError("lessons of one batch must be of one task and begin with the same head")
    padded = pad_rows(
        [lesson.ids[len(head) :] for lesson in lessons], side="right", fill=pad, multiple=WIDTH
    )
    answers = torch.full_like(padded.ids, -100)
    for row, lesson in enumerate(lessons):
        begin, end = lesson.n_prompt - len(head), len(lesson.ids) - len(head)
        # the token at place t is predicted at place t - 1
        answers[row, begin - 1 : end - 1] = padded.ids[row, begin:end]
    seen = [(row, lesson) for row, lesson in enumerate(lessons) if lesson.vectors]
    rows = [row for row, lesson in seen for _ in lesson.columns]
    columns = [column - len(head) for _, lesson in seen for column in lesson.columns]
    layers = [own for _, lesson in seen for own in lesson.layers]
    vectors = [vector for _, lesson in seen for vector in lesson.vectors]
    stacked = np.stack(vectors) if vectors else np.zeros((0, 0), dtype=np.float32)
    return {
        "ids": padded.ids,  # first: Trainer takes its length for the number of lessons
        "head": torch.tensor(head, dtype=torch.int64),
        "mask": padded.mask,
        "answers": answers,
        "rows": torch.tensor(rows, dtype=torch.int64),
        "columns": torch.tensor(columns, dtype=torch.int64),
        "layers": torch.tensor(layers, dtype=torch.int64).reshape(-1, 2),
        "vectors": torch.from_numpy(stacked.astype(np.float32)),
        "task": first.task,
        "kind": first.kind,
    }


def load_base(base: Path, device: str) -> Any:
    """The base model in float32, with the attention that trains fastest on the device."""
    where = usable_device(device)
    model = load_model(base, torch.float32)
    if where.type == "cpu":
        model.set_attn_implementation("eager")  # a sixth faster there than the fused kernels
    return model


def trainable(
    model: Any, settings: ExplainerSettings, projection: Projection | None
) -> TrainedExplainer:
    """Wrap a model with all that learns; its `model` is what is to be written."""
    inner = model
    if settings.method == "lora":
        model.requires_grad_(False)
        if settings.bfloat16:
            _store_in_bfloat16(model)
        model = adapt(model, lora(settings), settings.seed)
    return TrainedExplainer(model, settings.injection, inner=inner, projection=projection)


def _store_in_bfloat16(model: Any) -> None:
    """Round frozen matrices once, but the output's; autocast would do it again at every use."""
    for module in model.modules():
        if isinstance(module, nn.Linear) and module is not model.get_output_embeddings():
            module.to(torch.bfloat16)


def lora(settings: ExplainerSettings) -> dict[str, Any]:
    """PEFT's settings of the adapter."""
    return {
        "r": settings.rank,
        "lora_alpha": settings.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": "all-linear",
        "task_type": "CAUSAL_LM",
    }
