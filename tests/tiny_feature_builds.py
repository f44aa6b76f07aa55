"""A target that writes words, so that whole suites of features can be built from what it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_embedders import LetterEmbedder
from tiny_models import make_model, make_tokenizer
from tokenizers import Tokenizer

from introspect_bench.benchmark.backends.target_model import load_target_model
from introspect_bench.tasks.feature_descriptions import judges, make
from introspect_bench.tasks.feature_descriptions.task import NAME
from introspect_bench.tasks.make import make_suite
from introspect_bench.tasks.order import Order

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


def order_in(root: Path) -> Order:
    """An order of a tiny suite of features in a folder, with its target."""
    folder = save_target(root / "target")
    return Order(
        suite="tiny",
        task=NAME,
        target={"name": "target", "source": "local", "location": str(folder), "d_model": 32},
        folder=folder,
        seed=0,
        out=root / NAME / "v2",
        work=root / "work",
        sizes=SIZES,
        draft=True,
    )


def run(order: Order, told: list[str] | None = None) -> dict[str, Any]:
    """Build it; `told` gets the stages."""
    assert order.folder is not None
    folder = order.folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make, "fetch_embedder", lambda: Path())
        patch.setattr(make, "load_embedder", lambda _folder: LetterEmbedder())
        patch.setattr(judges, "cache_dir", lambda: order.work / "cache")
        threads = torch.get_num_threads()
        order.out.parent.mkdir(parents=True, exist_ok=True)
        try:
            return make_suite(
                order,
                lambda: load_target_model(folder),
                lambda: load_target_model(folder),
                lambda stage, _n: told.append(stage) if told is not None else None,
            )
        finally:
            torch.set_num_threads(threads)
