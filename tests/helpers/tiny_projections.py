"""What tests of projections share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tiny_models import make_model, make_tokenizer

TEXTS = ["A man walked into a bar. So?", "if (x > 3) { return 7; }", "Über straße, naïve."]


def save_model(folder: Path, **changes: Any) -> Path:
    tokenizer = make_tokenizer()
    model = make_model("llama", tokenizer, max_position_embeddings=4096, **changes)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
