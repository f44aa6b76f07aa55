"""A target that writes words, so that whole suites of features can be built from what it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tiny_models import make_model, make_tokenizer
from tokenizers import Tokenizer

WORDS = (
    *("the", "a", "dog", "cat", "music", "river", "paper", "king", "and", "or", "with", "in"),
    *("ran", "sang", "wrote", "red", "large", "seven", "Paris", "London", "said", "is", "was"),
    *("they", "she", "under", "bread", "doctor", "ship", "gold"),
)
SIZES: dict[str, Any] = {
    "sampled_tokens": 10_000,
    "sae_tokens": 30_000,
    "latents": 64,
    "k": 1,
    "sae_batch": 256,
    "drawn": 4,
    "vectors": 2,
    "tried": 20,
    "predicate_cap": 0.5,
    "at_least": 10,
    "least_predicates": 10,
    "simulator_epochs": 1,
    "simulator_bfloat16": False,
}


def make_word_tokenizer() -> Any:
    """One token per byte, and one for each of ` the`, ` dog` and so on."""
    tokenizer = make_tokenizer()
    core = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary, merges = core["model"]["vocab"], core["model"]["merges"]
    for word in WORDS:
        piece = "Ġ"
        for sign in word:
            if piece + sign not in vocabulary:
                vocabulary[piece + sign] = len(vocabulary)
                merges.append([piece, sign])
            piece += sign
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(core))
    return tokenizer


def save_target(folder: Path) -> Path:
    """Write a random model that writes mostly these words, a comma or a full stop."""
    tokenizer = make_word_tokenizer()
    model = make_model("llama", tokenizer, seed=4, hidden_size=32, num_hidden_layers=4)
    said = [tokenizer(f" {word}", add_special_tokens=False)["input_ids"][0] for word in WORDS]
    marks = tokenizer(",.", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        model.get_output_embeddings().weight[[*said, *marks]] *= 20
        model.get_input_embeddings().weight *= 5  # what a token is decides its residuals
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
