"""The adapter of a simulator in training: which modules it changes, and its first weights.

Merging a finished adapter is `adapters.py`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from introspect_bench.benchmark.backends.injector import decoder_layers
from introspect_bench.benchmark.backends.simulator_lessons import TrainingSettings
from introspect_bench.benchmark.errors import UsageError


def lora_config(model: Any, settings: TrainingSettings) -> dict[str, Any]:
    """Settings of PEFT's LoRA: all linear modules of the layers that are adapted."""
    layers = decoder_layers(model)
    if not 0 <= settings.first_layer < len(layers):
        raise UsageError(f"first layer {settings.first_layer}: the base has {len(layers)} layers")
    path = next(name for name, module in model.named_modules() if module is layers)
    modules = {
        name.rpartition(".")[2]
        for name, module in layers.named_modules()
        if isinstance(module, nn.Linear)
    }
    if not modules:
        raise UsageError(f"{type(model).__name__}: no linear modules that an adapter could change")
    return {
        "r": settings.rank,
        "lora_alpha": settings.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": sorted(modules),
        "layers_to_transform": list(range(settings.first_layer, len(layers))),
        "layers_pattern": path.rpartition(".")[2],
    }


def adapt(model: Any, config: Mapping[str, Any], seed: int) -> Any:
    """Put an adapter into the model; its initial weights depend on the seed alone."""
    from peft import LoraConfig, get_peft_model

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # transformers warns about a name that PEFT still uses
        warnings.simplefilter("ignore", FutureWarning)
        adapted = get_peft_model(model, LoraConfig(**config))
    generator = torch.Generator().manual_seed(seed)
    for name, value in sorted(adapted.named_parameters()):
        if "lora_A" in name:  # as PEFT's own: uniform, bounded by 1 / sqrt(width); lora_B is 0
            bound = value.shape[1] ** -0.5
            with torch.no_grad():
                value.uniform_(-bound, bound, generator=generator)
    return adapted
