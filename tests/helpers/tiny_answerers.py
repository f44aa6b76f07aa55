"""A random language model whose tokens are answers, so that metrics have something to tell."""

from __future__ import annotations

from pathlib import Path

import torch
from tiny_models import CHAT, make_model, make_tokenizer

ANSWERS = (
    *(f"{verdict}: {letter}" for verdict in ("changed", "unchanged") for letter in "AB"),
    *(f"part: {letter}" for letter in "ABCD"),
    "changed: Paris\n",
    "unchanged: Rome",
    "<think>",
    "changed",
)


def save_answerer(folder: Path, *, chat: bool) -> Path:
    """Save a model that writes a few of `ANSWERS`, which ones depends on the prompt."""
    tokenizer = make_tokenizer(chat_template=CHAT if chat else None)
    tokenizer.add_tokens(list(ANSWERS))
    model = make_model("llama", tokenizer, max_position_embeddings=4096, hidden_size=32)
    with torch.no_grad():
        model.lm_head.weight[-len(ANSWERS) :] *= 6
        model.lm_head.weight[1] *= 6  # the end of a reply
        model.lm_head.weight[tokenizer("\n")["input_ids"]] *= 6
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
