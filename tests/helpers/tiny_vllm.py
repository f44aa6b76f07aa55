"""A stand-in for vLLM: greedy generation with transformers from the prompts' embeddings."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM


@dataclass
class SamplingParams:
    """The fields that are used."""

    temperature: float
    detokenize: bool
    ignore_eos: bool
    stop_token_ids: list[int]
    max_tokens: int
    logprobs: int
    flat_logprobs: bool = False


@dataclass
class LLM:
    """Greedy generation from embeddings, one prompt at a time, by transformers."""

    model: str
    options: dict[str, Any] = field(default_factory=dict)

    made: Any = None
    scale: float = 1.0  # of prompts, which the model itself does not know

    def __init__(self, model: str, **options: Any) -> None:
        LLM.made = self
        self.options = options
        self.weights: Any = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)

    def generate(self, prompts: list[Any], params: SamplingParams, *, use_tqdm: bool) -> list[Any]:
        assert params.temperature == 0
        assert params.ignore_eos
        assert not params.detokenize
        assert not use_tqdm
        return [SimpleNamespace(outputs=[self._one(p["prompt_embeds"], params)]) for p in prompts]

    def _one(self, embeds: torch.Tensor, params: SamplingParams) -> Any:
        ids: list[int] = []
        embeds, room = embeds * self.scale, self.options.get("max_model_len", 2048) - len(embeds)
        rows: list[torch.Tensor] = []
        while len(ids) < min(params.max_tokens, room) and not (
            ids and ids[-1] in params.stop_token_ids
        ):
            with torch.no_grad():
                logits = self.weights(inputs_embeds=embeds[None]).logits[0, -1]
            rows.append(logits.log_softmax(-1))
            ids.append(int(logits.argmax()))
            embeds = torch.cat(
                [embeds, self.weights.get_input_embeddings()(torch.tensor(ids[-1:]))]
            )
        if params.flat_logprobs:
            assert params.logprobs == -1
            order = rows[0].argsort(descending=True)
            logprobs: Any = SimpleNamespace(
                token_ids=order.tolist(), logprobs=rows[0][order].tolist()
            )
        else:
            logprobs = [
                {i: SimpleNamespace(logprob=float(row[i]))}
                for i, row in zip(ids, rows, strict=True)
            ]
        return SimpleNamespace(token_ids=tuple(ids), logprobs=logprobs)


def put_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `import vllm` find the stand-in, which runs on the CPU."""
    module: Any = ModuleType("vllm")
    module.LLM, module.SamplingParams, module.__version__ = LLM, SamplingParams, "0.0"
    module.__spec__ = SimpleNamespace()
    platforms: Any = ModuleType("vllm.platforms")
    platforms.current_platform = SimpleNamespace(device_type="cpu")
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setitem(sys.modules, "vllm.platforms", platforms)
    monkeypatch.setattr(LLM, "made", None)
