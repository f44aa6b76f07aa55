"""Lenses of the input: directions are traced to the tokens that they read."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from tiny_lens import drawn, still_reader
from tiny_models import D_MODEL

from introspect_bench.benchmark.backends.injection.hooks import decoder_layers, rewriting
from introspect_bench.benchmark.backends.interventions.readout import (
    make_bigram_lens,
    make_input_lens,
)

TEXT = "The quick brown fox jumps over a lazy dog, 12 times; why not? (Nobody knows.) "
TURN: torch.Tensor = torch.linalg.qr(drawn(3, D_MODEL, D_MODEL))[0]


def test_a_direction_that_reads_a_token_is_traced_to_it() -> None:
    reader = still_reader()
    # layer 1 turns the residual stream, and the others do nothing
    layer = decoder_layers(reader.model)[1]
    layer.register_forward_hook(rewriting(lambda hidden: hidden @ TURN))
    lens = make_input_lens(reader, [0, 1], [TEXT * 3])
    seen = sorted(set(reader.tokenizer(TEXT)["input_ids"]))
    embedded = torch.nn.functional.normalize(
        reader.model.get_input_embeddings().weight[seen], dim=-1
    )
    plain, turned = embedded.detach(), (embedded @ TURN).detach()
    for vectors, of in ((plain, 0), (turned, 1)):
        best = lens(vectors.numpy(), [of] * len(seen), 3)
        hits = [token in row for token, row in zip(seen, best.tolist(), strict=True)]
        assert np.mean(hits) > 0.9
    # read as if it were of the layer before the turn, it is traced to something else
    wrong = lens(turned.numpy(), [0] * len(seen), 3)
    assert np.mean([token in row for token, row in zip(seen, wrong.tolist(), strict=True)]) < 0.3


def test_a_direction_that_reads_the_token_before_is_traced_to_it() -> None:
    reader = still_reader()
    embedding = reader.model.get_input_embeddings()
    seen: list[Any] = []
    embedding.register_forward_hook(lambda _m, _i, out: seen.append(out))

    def add(states: torch.Tensor) -> torch.Tensor:
        before: torch.Tensor = torch.nn.functional.pad(seen[-1], (0, 0, 1, 0))[:, :-1]
        return states + before @ TURN

    decoder_layers(reader.model)[1].register_forward_hook(rewriting(add))
    lens = make_bigram_lens(reader, [1], [TEXT * 6])
    tokens = sorted(set(reader.tokenizer(TEXT)["input_ids"]))
    embedded = torch.nn.functional.normalize(embedding.weight[tokens], dim=-1).detach()
    here, _ = lens(embedded.numpy(), [1] * len(tokens))
    _, before = lens((embedded @ TURN).numpy(), [1] * len(tokens))
    assert np.mean(here == tokens) > 0.7
    assert np.mean(before == tokens) > 0.7
