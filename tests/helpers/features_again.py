"""Activations of a suite's features from the target alone: transformers, and what is shipped."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from introspect_bench.benchmark.suite.features import arrays
from introspect_bench.benchmark.suite.suite import Suite
from introspect_bench.tasks.feature_descriptions.build.draft import Definition, derive
from introspect_bench.tasks.feature_descriptions.windows import bos_id

NEAR = 0.02
"""A share of the threshold: closer to it, rounding decides whether an activation is 0."""


def derived(suite: Suite, split: str, target: Any, *, n: int) -> int:
    """Compare up to n activations of a split with the target's own, half of them not 0.

    They are of different features in turn. Returns how many were compared.
    """
    queries, shipped = suite.queries(split), arrays(suite, split, "definitions")
    ids = arrays(suite, split, "windows")["ids"]
    truth = arrays(suite, split, "activations")["activations"].astype(np.float32)
    rng, compared = np.random.default_rng(0), 0
    for turn in range(n):
        row = turn % len(queries)
        flat = truth[row].ravel()
        (places,) = np.nonzero((flat > 0) == (turn // len(queries) % 2 == 0))
        place = int(rng.choice(places))
        layer = int(queries[row].fields["layer"])
        found = _activation(target, layer, ids[row, place // 32], place % 32, shipped, row, place)
        threshold = float(shipped["threshold"][row])
        said = (found, float(flat[place]))
        if not any(value and abs(value - threshold) < NEAR * threshold for value in said):
            np.testing.assert_allclose(*said, rtol=5e-3, atol=5e-3)  # float16 keeps eleven bits
        compared += 1
    return compared


def _activation(
    target: Any, layer: int, window: Any, position: int, shipped: Any, row: int, place: int
) -> float:
    tokens = torch.tensor([[bos_id(target.tokenizer), *window.tolist()]])
    held: list[torch.Tensor] = []
    # behind the last layer the model shows normed states, so the layer itself is asked
    module = target.model.base_model.layers[layer]
    hook = module.register_forward_hook(
        lambda _m, _i, out: held.append(out[0] if isinstance(out, tuple) else out)
    )
    with torch.inference_mode():
        target.model(tokens)
    hook.remove()
    number = shipped["layers"].tolist().index(layer)
    definition = Definition(
        mean=shipped["mean"][number],
        cap=float(shipped["cap"][number]),
        encoder=shipped["encoder"][row],
        bias=float(shipped["bias"][row]),
        threshold=float(shipped["threshold"][row]),
        token=shipped["token"][row],
    )
    residual = held[0][0, position + 1].float().cpu().numpy()[None]
    return float(derive(residual, definition, definition.token.ravel()[[place]])[0])
