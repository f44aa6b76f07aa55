"""Seconds a query by size of the explainer, length of the prompt and number of queries.

Run by hand: `OMP_NUM_THREADS=1 python tests/speed/cost.py [--device cuda --dtype bfloat16]`. Models
have random weights, so nothing is fetched; replies have 8 tokens. Prints one table; the last column
is operations a second, 2 a weight and token of every prompt and reply.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
from tiny_models import make_tokenizer

from introspect_bench.benchmark.backends.explainer.local import LocalExplainer
from introspect_bench.benchmark.backends.models.devices import find_dtype
from introspect_bench.benchmark.records import SLOT, Prompt, Query

SIZES = {"small": (8, 256), "135M": (30, 576), "360M": (32, 960), "1B": (16, 2048)}
CASES = ((150, 64), (75, 64), (300, 64), (150, 16))  # tokens of a prompt, queries
REPLY = 8


def prompts(words: int, n: int, width: int) -> list[Prompt]:
    rng = np.random.default_rng(0)
    query = Query(id="0" * 16, group="0" * 16, kind="last", fields={})
    return [
        Prompt(
            query=query,
            template="cost/1",
            instructions="Say it.",
            question=" ".join(f"{number}" for number in rng.integers(10, size=words // 2))
            + f" {SLOT}",
            vector=rng.standard_normal(width).astype(np.float32),
        )
        for _ in range(n)
    ]


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--sizes", nargs="*", default=list(SIZES)[:3], choices=SIZES)
    given = parser.parse_args()
    tokenizer = make_tokenizer()
    dtype = find_dtype(given.dtype, given.device)
    say("size  weights  prompt tokens  queries  s/query  1e9 operations/s")
    for name in given.sizes:
        layers, width = SIZES[name]
        config = LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            intermediate_size=width * 8 // 3,
            num_hidden_layers=layers,
            num_attention_heads=width // 64,
            num_key_value_heads=max(1, width // 192),
        )
        torch.manual_seed(0)  # noqa: TID251  weights of no consequence
        model = LlamaForCausalLM(config).to(given.device, dtype).eval()
        weights = sum(value.numel() for value in model.model.layers.parameters())
        explainer = LocalExplainer(model, tokenizer, max_new_tokens=REPLY)
        explainer.complete(prompts(75, 2, width))
        for words, n in CASES:
            asked = prompts(words, n, width)
            start = time.perf_counter()
            replies = explainer.complete(asked)
            seconds = (time.perf_counter() - start) / n
            tokens = sum(reply.n_in + reply.n_out for reply in replies) / n
            speed = 2 * weights * tokens / seconds / 1e9
            n_in = sum(reply.n_in for reply in replies) / n
            say(f"{name}  {weights / 1e6:.0f}M  {n_in:.0f}  {n}  {seconds:.4f}  {speed:.1f}")


if __name__ == "__main__":
    main()
