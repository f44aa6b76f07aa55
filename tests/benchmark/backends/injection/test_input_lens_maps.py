"""Lenses of the input: directions are traced to the tokens that they read."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from tiny_models import D_MODEL, make_model, make_tokenizer

from introspect_bench.benchmark.backends.injection.alignment import Reader
from introspect_bench.benchmark.backends.injection.hooks import decoder_layers
from introspect_bench.benchmark.backends.interventions.readout import (
    make_bigram_lens,
    make_input_lens,
)


def test_a_direction_that_reads_a_token_is_traced_to_it() -> None:
    tokenizer = make_tokenizer()
    model = make_model("llama", tokenizer)
    generator = torch.Generator().manual_seed(3)
    turn = torch.linalg.qr(torch.randn(D_MODEL, D_MODEL, generator=generator))[0]
    layer = decoder_layers(model)[1]
    # layer 1 turns the residual stream, and the others do nothing
    for name, parameter in model.named_parameters():
        if "o_proj" in name or "down_proj" in name:
            parameter.data.zero_()
    layer.register_forward_hook(
        lambda _m, _i, output: (
            (output[0] @ turn, *output[1:]) if isinstance(output, tuple) else output @ turn
        )
    )
    text = "The quick brown fox jumps over a lazy dog, 12 times; why not? (Nobody knows.) "
    lens = make_input_lens(Reader(model=model, tokenizer=tokenizer), [0, 1], [text * 3])
    seen = sorted(set(tokenizer(text)["input_ids"]))
    embedded = torch.nn.functional.normalize(model.get_input_embeddings().weight[seen], dim=-1)
    plain, turned = embedded.detach(), (embedded @ turn).detach()
    for vectors, of in ((plain, 0), (turned, 1)):
        best = lens(vectors.numpy(), [of] * len(seen), 3)
        hits = [token in row for token, row in zip(seen, best.tolist(), strict=True)]
        assert np.mean(hits) > 0.9
    # read as if it were of the layer before the turn, it is traced to something else
    wrong = lens(turned.numpy(), [0] * len(seen), 3)
    assert np.mean([token in row for token, row in zip(seen, wrong.tolist(), strict=True)]) < 0.3


def test_a_direction_that_reads_the_token_before_is_traced_to_it() -> None:
    tokenizer = make_tokenizer()
    model = make_model("llama", tokenizer)
    turn = torch.linalg.qr(
        torch.randn(D_MODEL, D_MODEL, generator=torch.Generator().manual_seed(3))
    )[0]
    for name, parameter in model.named_parameters():
        if "o_proj" in name or "down_proj" in name:
            parameter.data.zero_()
    embedding = model.get_input_embeddings()
    seen: list[Any] = []
    embedding.register_forward_hook(lambda _m, _i, out: seen.append(out))

    def add(_module: Any, _inputs: Any, output: Any) -> Any:
        states = output[0] if isinstance(output, tuple) else output
        before = torch.nn.functional.pad(seen[-1], (0, 0, 1, 0))[:, :-1]
        states = states + before @ turn
        return (states, *output[1:]) if isinstance(output, tuple) else states

    decoder_layers(model)[1].register_forward_hook(add)
    text = "The quick brown fox jumps over a lazy dog, 12 times; why not? (Nobody knows.) "
    lens = make_bigram_lens(Reader(model=model, tokenizer=tokenizer), [1], [text * 6])
    tokens = sorted(set(tokenizer(text)["input_ids"]))
    embedded = torch.nn.functional.normalize(embedding.weight[tokens], dim=-1).detach()
    here, _ = lens(embedded.numpy(), [1] * len(tokens))
    _, before = lens((embedded @ turn).numpy(), [1] * len(tokens))
    assert np.mean(here == tokens) > 0.7
    assert np.mean(before == tokens) > 0.7
