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
    "layers": (1, 2),
    "plain": (1,),
    "fitted_batches": 2,
    "scored_batches": 2,
    "training": {"latents": 40, "k": 3, "epochs": 4, "batch": 128, "dead_after": 4000},
    "least_r": (0.9, 0.2),
    "drawn": {
        "test": {"bigram": 2, "context-token": 3, "token": 3},
        "validation": {"bigram": 2, "context-token": 2, "token": 2},
    },
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
    """Write a random model that writes mostly these words, a comma or a full stop.

    Its first two layers attend to the previous token, so that the residual stream says what came
    one and two tokens before.
    """
    tokenizer = make_word_tokenizer()
    model = make_model(
        "llama", tokenizer, seed=4, hidden_size=32, num_hidden_layers=4, attention_bias=True
    )
    said = [tokenizer(f" {word}", add_special_tokens=False)["input_ids"][0] for word in WORDS]
    marks = tokenizer(",.", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        model.get_input_embeddings().weight *= 5  # what a token is decides its residuals
        # one coordinate is the same everywhere, and says that words come next, whichever came
        model.get_input_embeddings().weight[:, 0] = 20
        model.get_output_embeddings().weight[[*said, *marks], 0] = 4
        for layer in model.model.layers[:2]:
            _attend_to_previous(model, layer.self_attn)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _attend_to_previous(model: Any, attention: Any) -> None:
    """Make all heads look one token back, by rotary positions alone, and write much."""
    for projection in (attention.q_proj, attention.k_proj):
        projection.weight.zero_()
        projection.bias.zero_()
    half = attention.head_dim // 2
    angles = model.model.rotary_emb.inv_freq  # of a distance of one token
    key = attention.k_proj.bias.view(-1, 2, half)
    key[:, 0] = 10
    query = attention.q_proj.bias.view(-1, 2, half)
    # a query turned back by one token meets the key of the token before
    query[:, 0], query[:, 1] = 10 * torch.cos(angles), -10 * torch.sin(angles)
    attention.o_proj.weight *= 1.5
