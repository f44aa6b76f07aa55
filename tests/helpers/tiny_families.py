"""What tests of several files share with `benchmark/backends/explainer/test_families.py`."""

from __future__ import annotations

from typing import Any

from tiny_models import make_tokenizer

QWEN = ["<|vision_start|>", "<|vision_pad|>", "<|vision_end|>"]


def tokenizer_with(*tokens: str, **more: Any) -> Any:
    tokenizer = make_tokenizer(**more)
    tokenizer.add_tokens(list(tokens), special_tokens=False)
    return tokenizer
