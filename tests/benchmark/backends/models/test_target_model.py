"""A target as interventions see it: layers, tokens, rounding, loading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import ARCHITECTURES, D_MODEL, N_LAYERS, make_model, make_tokenizer, save_model
from tiny_targets import decoder_layers, make_target, slow_pass
from transformers import AutoModelForCausalLM, GPTNeoXConfig, MambaConfig

from introspect_bench.benchmark.backends.injection import hooks as injector
from introspect_bench.benchmark.backends.models.target_model import (
    load_target_model,
    with_rounded_weights,
    wrap,
)
from introspect_bench.benchmark.errors import UsageError


def from_config(config: Any) -> Any:
    factory: Any = AutoModelForCausalLM
    return factory.from_config(config)


@pytest.mark.parametrize("name", [*ARCHITECTURES, "opt"])
def test_layers_are_found(name: str) -> None:
    target = make_target(name)
    assert (target.n_layers, target.d_model) == (N_LAYERS, D_MODEL)
    assert list(target.modules) == list(decoder_layers(target))
    assert len(target.envoys) == N_LAYERS
    assert [target.envoys[i]._module for i in range(N_LAYERS)] == list(target.modules)
    assert target.device == torch.device("cpu")
    assert not target.model.training
    assert not any(p.requires_grad for p in target.model.parameters())


def test_layers_of_gpt_neox_are_found() -> None:
    config = GPTNeoXConfig(
        hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8, vocab_size=9
    )
    assert wrap(from_config(config), None).layer_path == "gpt_neox.layers"


def test_targets_and_explainers_find_the_same_layers() -> None:
    for name in (*ARCHITECTURES, "opt"):
        target = make_target(name)
        assert target.modules is injector.decoder_layers(target.model)


def test_a_model_whose_layers_cannot_be_told_apart_is_refused() -> None:
    model = make_model("llama", make_tokenizer())
    model.others = torch.nn.ModuleList(torch.nn.Identity() for _ in range(N_LAYERS))
    with pytest.raises(UsageError, match="LlamaForCausalLM: decoder layers not found"):
        wrap(model, None)


def test_a_model_with_a_running_state_is_refused() -> None:
    config = MambaConfig(hidden_size=8, num_hidden_layers=1, vocab_size=9, state_size=2)
    with pytest.raises(UsageError, match="MambaForCausalLM keeps a running state"):
        wrap(from_config(config), None)


def test_plain_text_gets_the_tokenizers_own_special_tokens() -> None:
    assert make_target().encode("ab") == make_target().tokenizer.convert_tokens_to_ids(["a", "b"])
    tokenizer = make_tokenizer(bos=True)
    assert make_target(tokenizer=tokenizer).encode("ab")[0] == tokenizer.bos_token_id


def test_a_chat_question_ends_where_the_reply_begins() -> None:
    tokenizer = make_tokenizer(bos=True)
    ids = make_target(tokenizer=tokenizer).encode_chat("Who?", " The answer is")
    text = "<s>user\nWho?</s>\n<s>assistant\n The answer is"
    assert tokenizer.decode(ids) == text
    assert ids.count(tokenizer.bos_token_id) == 2  # the template's own, none added


def test_without_a_chat_template_chat_is_refused() -> None:
    target = make_target(tokenizer=make_tokenizer(chat_template=None))
    with pytest.raises(UsageError, match="no chat template"):
        target.encode_chat("Who?", "It is")


def test_rounding_keeps_the_dtype_and_loses_bits() -> None:
    target, other = make_target(seed=1), make_target(seed=1)
    with_rounded_weights(other)
    changed = 0
    for first, second in zip(target.model.parameters(), other.model.parameters(), strict=True):
        assert second.dtype == torch.float32
        assert torch.equal(second, first.bfloat16().float())
        changed += not torch.equal(first, second)
    assert changed
    ids = target.encode("The capital")
    assert not torch.equal(slow_pass(target, ids)[0], slow_pass(other, ids)[0])


def test_rounding_to_the_same_dtype_changes_nothing() -> None:
    target, other = make_target(), make_target()
    with_rounded_weights(other, torch.float32)
    for first, second in zip(target.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_folder_is_loaded_as_it_was_saved(tmp_path: Path, dtype: torch.dtype) -> None:
    tokenizer = make_tokenizer()
    model = make_model("llama", tokenizer)
    target = load_target_model(save_model(tmp_path), dtype=dtype)
    assert target.model.dtype == dtype
    for first, second in zip(model.parameters(), target.model.parameters(), strict=True):
        assert torch.equal(first.to(dtype), second)
    assert target.encode("Москва.") == tokenizer("Москва.")["input_ids"]
    assert target.encode_chat("a", "b") == make_target().encode_chat("a", "b")


def test_pickle_weights_are_never_loaded(tmp_path: Path) -> None:
    save_model(tmp_path)
    torch.save({"a": torch.zeros(1)}, tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(OSError, match="safetensors"):
        load_target_model(tmp_path)
