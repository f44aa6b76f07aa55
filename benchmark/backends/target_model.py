"""A loaded target model: tokenizer, decoder layers, and the plain facts interventions need.

Owns loading and nothing else; what is done to the model is in `interventions.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from nnsight import NNsight
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer

from introspect_bench.benchmark.errors import UsageError

LAYER_PATHS = ("model.layers", "transformer.h", "gpt_neox.layers", "model.language_model.layers")
"""Where causal language models of transformers keep their decoder layers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetModel:
    """A causal language model wrapped for interventions."""

    model: Any
    """transformers model in evaluation mode, no gradients."""
    tokenizer: Any
    """Its fast tokenizer."""
    trace: NNsight
    """nnsight wrapper around `model`."""
    layer_path: str
    """Dotted path of the decoder layers, one of `LAYER_PATHS`."""
    n_layers: int
    """Number of decoder layers."""
    d_model: int
    """Width of the residual stream."""

    @property
    def device(self) -> torch.device:
        """Device of the first parameter."""
        device: torch.device = next(self.model.parameters()).device
        return device

    @property
    def modules(self) -> nn.ModuleList:
        """The decoder layers as torch modules."""
        layers: nn.ModuleList = self.model.get_submodule(self.layer_path)
        return layers

    @property
    def envoys(self) -> Any:
        """The decoder layers as nnsight envoys, indexable by layer."""
        envoy: Any = self.trace
        for part in self.layer_path.split("."):
            envoy = getattr(envoy, part)
        return envoy

    def encode(self, text: str) -> list[int]:
        """Token ids of plain text, with the tokenizer's own special tokens, such as BOS."""
        ids: list[int] = self.tokenizer(text)["input_ids"]
        return ids

    def encode_chat(self, user: str, answer_prefix: str) -> list[int]:
        """Token ids of one user turn and the beginning of the assistant's reply.

        Raises:
            UsageError: the tokenizer has no chat template.
        """
        if not getattr(self.tokenizer, "chat_template", None):
            raise UsageError("this target has no chat template, so it cannot answer chat questions")
        turns = [{"role": "user", "content": user}]
        text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        ids: list[int] = self.tokenizer(text + answer_prefix, add_special_tokens=False)["input_ids"]
        return ids


def wrap(model: Any, tokenizer: Any) -> TargetModel:
    """Wrap a transformers model that is already in memory.

    Raises:
        UsageError: the architecture keeps its decoder layers somewhere unknown.
    """
    model.eval().requires_grad_(False)
    for path in LAYER_PATHS:
        try:
            layers = model.get_submodule(path)
        except AttributeError:
            continue
        config = model.config.get_text_config()
        return TargetModel(
            model=model,
            tokenizer=tokenizer,
            trace=NNsight(model),
            layer_path=path,
            n_layers=len(layers),
            d_model=config.hidden_size,
        )
    raise UsageError(
        f"{type(model).__name__}: decoder layers not found at any of {', '.join(LAYER_PATHS)}"
    )


def load_target_model(
    path: Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> TargetModel:
    """Load a target from a directory of safetensors, config and tokenizer.

    Args:
        path: the directory.
        device: a torch device, such as `cpu` or `cuda`.
        dtype: dtype of the weights; ground truth of the embedded suite uses float32.

    Raises:
        UsageError: unknown architecture.
    """
    model = AutoModelForCausalLM.from_pretrained(path, dtype=dtype, use_safetensors=True)
    tokenizer = AutoTokenizer.from_pretrained(path)
    model.to(torch.device(device))  # type: ignore[arg-type]  # a decorator hides its signature
    return wrap(model, tokenizer)


def with_rounded_weights(target: TargetModel, dtype: torch.dtype = torch.bfloat16) -> None:
    """Round every parameter to `dtype` in place, computing on in the present dtype.

    The same labels under rounded weights are the second half of the stability test; computing in
    float32 keeps the test independent of a machine's low-precision kernels.
    """
    for parameter in target.model.parameters():
        parameter.data = parameter.data.to(dtype).to(parameter.dtype)
