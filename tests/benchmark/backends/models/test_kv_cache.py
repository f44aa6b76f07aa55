"""The cache's old and new name in transformers."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from packaging.version import Version
from transformers import LlamaConfig, LlamaForCausalLM

from introspect_bench.benchmark.backends.models.batch import NAME, cache_of, name_in, with_cache


@dataclass
class Old:
    past_key_values: object = None


@dataclass
class New:
    cache: object = None


def test_the_name_is_the_one_that_outputs_have() -> None:
    assert (name_in(Old), name_in(New)) == ("past_key_values", "cache")
    renamed = Version(transformers.__version__) >= Version("5.24")
    assert ("cache" if renamed else "past_key_values") == NAME


def test_a_model_goes_on_from_its_cache_without_a_warning() -> None:
    """transformers 5.24 warns of the old name."""
    config = LlamaConfig(
        vocab_size=11,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
    )
    with torch.random.fork_rng():
        model: Any = LlamaForCausalLM(config)
    model.eval()
    ids = torch.arange(6)[None]
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = model(input_ids=ids).logits[:, -1]
        first = model(input_ids=ids[:, :4], use_cache=True)
        rest = model(input_ids=ids[:, 4:], **with_cache(cache_of(first))).logits[:, -1]
    torch.testing.assert_close(rest, whole)
