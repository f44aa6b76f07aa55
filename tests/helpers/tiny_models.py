"""Tiny random language models and a tokenizer, made on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    OPTConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

D_MODEL = 16
N_LAYERS = 3

CHAT = (
    "{% for m in messages %}<s>{{ m['role'] }}\n{{ m['content'] }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)
"""A chat template that takes a system turn."""

SIZES: dict[str, Any] = {
    "hidden_size": D_MODEL,
    "num_hidden_layers": N_LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "intermediate_size": 32,
    "max_position_embeddings": 512,
    "attn_implementation": "eager",
}

ARCHITECTURES = ("llama", "gpt2", "qwen3", "gemma2", "gemma3")


def make_tokenizer(*, chat_template: str | None = CHAT, bos: bool = False) -> Any:
    """One token per byte; `<s>` and `</s>` are special tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<s>": 0, "</s>": 1, **{token: i + 2 for i, token in enumerate(alphabet)}}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    if bos:
        from tokenizers.processors import TemplateProcessing

        core.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    factory: Any = PreTrainedTokenizerFast
    tokenizer = factory(
        tokenizer_object=core, bos_token="<s>", eos_token="</s>", additional_special_tokens=[]
    )
    tokenizer.chat_template = chat_template
    return tokenizer


def make_config(name: str, size: int, **changes: Any) -> Any:
    """Configuration of one architecture with a vocabulary of `size`."""
    sizes = {**SIZES, "vocab_size": size, "bos_token_id": 0, "eos_token_id": 1, **changes}
    if name == "gpt2":
        gpt2: Any = GPT2Config
        return gpt2(
            n_embd=sizes["hidden_size"],
            n_layer=N_LAYERS,
            n_head=4,
            n_positions=512,
            vocab_size=size,
            bos_token_id=0,
            eos_token_id=1,
            attn_implementation="eager",
        )
    if name == "opt":
        opt: Any = OPTConfig
        return opt(
            hidden_size=sizes["hidden_size"],
            num_hidden_layers=N_LAYERS,
            num_attention_heads=4,
            ffn_dim=32,
            word_embed_proj_dim=sizes["hidden_size"],
            max_position_embeddings=512,
            vocab_size=size,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
            attn_implementation="eager",
        )
    if name == "llama":
        return LlamaConfig(**sizes)
    if name == "qwen3":
        return Qwen3Config(**sizes)
    # a window shorter than the prompts, so that it matters
    sizes |= {"sliding_window": 9, "query_pre_attn_scalar": 4, "pad_token_id": 1}
    layers = ["full_attention", "sliding_attention", "full_attention"]
    if name == "gemma2":
        return Gemma2Config(**sizes, layer_types=layers, attn_logit_softcapping=2.0)
    return Gemma3TextConfig(**sizes, layer_types=layers)


def make_model(name: str, tokenizer: Any, *, seed: int = 0, **changes: Any) -> Any:
    """A model with random weights large enough for attention and every layer to matter."""
    config = make_config(name, len(tokenizer), **changes)
    factory: Any = AutoModelForCausalLM
    model = factory.from_config(config)
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        scale = 0.1 if parameter.ndim == 1 else 0.3
        # norms of the Gemma families multiply by 1 + weight
        shift = 1.0 if parameter.ndim == 1 and "gemma" not in name else 0.0
        parameter.data = noise * scale + shift
    return model.eval()


def save_model(folder: Path, tokenizer: Any = None, *, seed: int = 0, **changes: Any) -> Path:
    """Write a random model with its tokenizer."""
    tokenizer = tokenizer or make_tokenizer()
    make_model("llama", tokenizer, seed=seed, **changes).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
