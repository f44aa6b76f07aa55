"""A few prompts with vectors and solved queries, and explainers on tiny models to answer them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tiny_models import D_MODEL, make_model, make_tokenizer

from introspect_bench.benchmark.backends.explainer.local import LocalExplainer
from introspect_bench.benchmark.records import SLOT, Prompt, Query, Turn

TEXTS = ("Is it A?", "Is it the second one?", "So?", "What is this, in a few words?", "And B?")


def vector(seed: int, width: int = D_MODEL) -> Any:
    return np.random.default_rng(seed).standard_normal(width).astype(np.float32)


def make_prompt(
    text: str, *, seed: int | None = None, shots: Sequence[Turn] = (), instructions: str = "Say it."
) -> Prompt:
    slot = "" if seed is None else f" Vector {SLOT} is in."
    return Prompt(
        query=Query(id="0" * 16, group="0" * 16, kind="last", fields={}),
        template="toy/1",
        instructions=instructions,
        question=text + slot,
        vector=None if seed is None else vector(seed),
        shots=shots,
    )


def make_shots(seed: int = 100) -> tuple[Turn, ...]:
    return tuple(
        Turn(question=f"Shot {i} {SLOT}?", answer="changed: A", vector=vector(seed + i))
        for i in range(2)
    )


def make_prompts() -> list[Prompt]:
    shots = make_shots()
    return [make_prompt(text, seed=i, shots=shots) for i, text in enumerate(TEXTS)]


def make_explainer(name: str, **arguments: Any) -> LocalExplainer:
    tokenizer = make_tokenizer()
    return LocalExplainer(
        make_model(name, tokenizer), tokenizer, **{"max_new_tokens": 8, **arguments}
    )
