"""Tiny targets, and what a target does worked out another way: one prompt at a time, plain hooks.

The slow way here has no padding, no cache, no batch and no nnsight, so that it can be read at a
glance; tests compare the package with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from tiny_models import make_model, make_tokenizer
from tokenizers import Tokenizer
from torch import nn

from introspect_bench.benchmark.backends.models.target_model import TargetModel, wrap

LAYERS = {"gpt2": "transformer.h", "opt": "model.decoder.layers"}
"""Where an architecture keeps its layers, if not in `model.layers`."""
DELIMITERS = '.,;:!?()[]"\n'
"""Characters that end an answer."""
MAX_TOKENS = 6
"""Longest answer."""
SAYS = "KQXZVW.,;!\n"
"""What a `talkative` target says, mostly."""


@dataclass(frozen=True, kw_only=True)
class Patch:
    """Where a vector is written."""

    position: int
    layers: tuple[int, int]
    vector: torch.Tensor


def make_letter_tokenizer(**options: Any) -> Any:
    """One token per byte, and one for each of ` A` to ` D`."""
    tokenizer = make_tokenizer(**options)
    core = json.loads(tokenizer.backend_tokenizer.to_str())
    for letter in "ABCD":
        core["model"]["vocab"][f"Ġ{letter}"] = len(core["model"]["vocab"])
        core["model"]["merges"].append(["Ġ", letter])
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(core))
    return tokenizer


def make_target(
    name: str = "llama", *, seed: int = 0, talkative: str = "", tokenizer: Any = None
) -> TargetModel:
    """A random target; its output layer favours the characters of `talkative`."""
    tokenizer = tokenizer or make_tokenizer()
    model = make_model(name, tokenizer, seed=seed)
    favoured = tokenizer(talkative, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        model.get_output_embeddings().weight[favoured] *= 4
    return wrap(model, tokenizer)


def decoder_layers(target: TargetModel) -> Sequence[nn.Module]:
    """The layers, found without the package's help."""
    path = LAYERS.get(target.model.config.model_type, "model.layers")
    found: Sequence[nn.Module] = target.model.get_submodule(path)
    return found


@contextmanager
def hooked(target: TargetModel, patch: Patch | None, seen: list[torch.Tensor]) -> Iterator[None]:
    """Collect every layer's output, after writing the patch's vector."""

    def hook(index: int) -> Any:
        def write(_module: nn.Module, _inputs: object, output: Any) -> Any:
            hidden = (output[0] if isinstance(output, tuple) else output).clone()
            if patch is not None and patch.layers[0] <= index <= patch.layers[1]:
                hidden[0, patch.position] = patch.vector
            seen.append(hidden[0])
            return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

        return write

    handles = [
        layer.register_forward_hook(hook(index))
        for index, layer in enumerate(decoder_layers(target))
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def slow_pass(
    target: TargetModel, ids: Sequence[int], patch: Patch | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (n_tokens, vocabulary) and residuals (n_layers, n_tokens, d_model) of one prompt."""
    seen: list[torch.Tensor] = []
    with torch.no_grad(), hooked(target, patch, seen):
        logits = target.model(input_ids=torch.tensor([list(ids)]), use_cache=False).logits
    return logits[0], torch.stack(seen)


@dataclass(frozen=True, kw_only=True)
class SlowAnswer:
    """What the slow way finds."""

    text: str
    ids: tuple[int, ...]
    margin: float


def slow_answer(target: TargetModel, ids: Sequence[int], patch: Patch | None = None) -> SlowAnswer:
    """Greedy answer, everything computed from scratch for every token."""
    said: list[int] = []
    margin = float("inf")
    text = ""
    while len(said) < MAX_TOKENS:
        logits = slow_pass(target, [*ids, *said], patch)[0][-1]
        first, second = sorted(logits.tolist(), reverse=True)[:2]
        margin = min(margin, first - second)
        said.append(logits.tolist().index(first))
        if said[-1] == target.tokenizer.eos_token_id:
            break
        text = target.tokenizer.decode(said, skip_special_tokens=True).rstrip("\ufffd")
        if any(character in DELIMITERS for character in text):
            break
    end = min([text.index(c) for c in DELIMITERS if c in text], default=len(text))
    return SlowAnswer(text=text[:end].strip(), ids=tuple(said), margin=margin)
