"""What tests of several files share with `benchmark/backends/injection/test_input_lens.py`."""

from __future__ import annotations

from typing import Any

import torch
from tiny_models import D_MODEL, N_LAYERS, make_model, make_tokenizer

from introspect_bench.benchmark.backends.injection.alignment import Reader
from introspect_bench.benchmark.backends.injection.spec import Maps

NEAREST = Maps(d_target=D_MODEL, n_layers=N_LAYERS, layers=(0, 1), nearest=True)


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def still_reader(**sizes: Any) -> Reader:
    """A model whose layers change nothing, so every residual is the token's embedding."""
    tokenizer = make_tokenizer()
    model = make_model("llama", tokenizer, **sizes)
    for name, parameter in model.named_parameters():
        if "o_proj" in name or "down_proj" in name:
            parameter.data.zero_()
    return Reader(model=model, tokenizer=tokenizer)
