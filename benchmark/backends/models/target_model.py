"""A loaded target model: tokenizer, decoder layers, and the facts that interventions need."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from nnsight import NNsight
from torch import nn

from ...errors import UsageError
from ..injection.hooks import decoder_layers
from .devices import usable_device
from .pretrained import load_model, load_tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetModel:
    """A causal language model wrapped for interventions."""

    model: Any  # transformers model in evaluation mode, no gradients
    tokenizer: Any  # its fast tokenizer
    trace: NNsight  # nnsight wrapper around `model`
    layer_path: str  # dotted path of the decoder layers inside `model`, such as `model.layers`
    n_layers: int  # number of decoder layers
    d_model: int  # width of the residual stream

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
        """Token ids of one user turn and the beginning of the assistant's reply."""
        if not getattr(self.tokenizer, "chat_template", None):
            raise UsageError("this target has no chat template, so it cannot answer chat questions")
        turns = [{"role": "user", "content": user}]
        text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        ids: list[int] = self.tokenizer(text + answer_prefix, add_special_tokens=False)["input_ids"]
        return ids


def wrap(model: Any, tokenizer: Any) -> TargetModel:
    """Wrap a loaded model; refuses one without a key-value cache or without clear layers."""
    kind = type(model).__name__
    if getattr(model, "_is_stateful", False):
        raise UsageError(
            f"{kind} keeps a running state instead of keys and values, so it cannot be a target"
        )
    try:
        layers = decoder_layers(model)
    except UsageError as error:
        raise UsageError(
            f"{kind}: decoder layers not found: expected exactly one list of num_hidden_layers "
            "modules, so it cannot be a target"
        ) from error
    model.eval().requires_grad_(False)
    return TargetModel(
        model=model,
        tokenizer=tokenizer,
        trace=NNsight(model),
        layer_path=next(name for name, module in model.named_modules() if module is layers),
        n_layers=len(layers),
        d_model=model.config.get_text_config().hidden_size,
    )


def load_target_model(
    path: Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> TargetModel:
    """Load a target from a folder; the ground truth of shipped suites is in float32."""
    where = usable_device(device)
    return wrap(load_model(path, dtype).to(where), load_tokenizer(path))


def with_flat_head(target: TargetModel) -> None:
    """Let the head read the last positions of a batch as one matrix.

    As a slice of hidden states they are multiplied row by row, on a CPU twenty times as slowly.
    Logits differ in their last bits.
    """
    head = target.model.get_output_embeddings()
    plain = head.forward
    head.forward = lambda hidden: plain(hidden.contiguous())


def with_rounded_weights(target: TargetModel, dtype: torch.dtype = torch.bfloat16) -> None:
    """Round parameters to `dtype` in place; computing goes on in the present dtype."""
    for parameter in target.model.parameters():
        parameter.data = parameter.data.to(dtype).to(parameter.dtype)
