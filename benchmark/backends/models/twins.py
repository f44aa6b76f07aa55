"""Bases of control explainers: the same architecture with another basis or other weights.

A *rotated twin* computes the same function as its original in a randomly rotated basis of the
residual stream: it knows all that the original knows and cannot read the original's vectors as its
own. A *reinitialised* model has the architecture alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import nn

from ...errors import UsageError, check_choice
from ..injection.hooks import decoder_layers

Twin = Literal["rotated", "random-init"]  # what is changed about a base model before it is trained

READERS = ("q_proj", "k_proj", "v_proj")  # matrices that read the first norm of a layer
MLP_READERS = ("gate_proj", "up_proj")  # matrices that read the second


def make_twin(model: Any, twin: str, *, seed: int) -> Any:
    """Change a float32 model as `Twin` says; the one given must not be used any more."""
    check_choice("twin", twin, get_args(Twin))
    change = rotate_basis if twin == "rotated" else reinitialise
    return change(model, seed=seed)


def rotation(width: int, *, seed: int) -> torch.Tensor:
    """An orthogonal matrix, float64 (width, width), uniform over all (Mezzadri 2007, section 5)."""
    generator = torch.Generator().manual_seed(seed)
    gaussian = torch.randn(width, width, generator=generator, dtype=torch.float64)
    q, r = torch.linalg.qr(gaussian)
    turn: torch.Tensor = q * r.diagonal().sign()
    return turn


@torch.no_grad()
def rotate_basis(model: Any, *, seed: int) -> Any:
    """Rotate the residual stream of a Llama-like model in place: x becomes x R, its function stays.

    Norm weights move into the matrices that read them, for a norm without weights commutes with
    rotations; input and output embeddings are untied.
    """
    base, layers = model.base_model, decoder_layers(model)
    for layer in layers:
        _check_form(model, layer)
    embed = model.get_input_embeddings()
    turn = rotation(embed.weight.shape[1], seed=seed)
    output = nn.Linear(embed.weight.shape[1], embed.weight.shape[0], bias=False)
    output.weight.copy_(_read(model.get_output_embeddings().weight, base.norm, turn))
    embed.weight.copy_(embed.weight.double() @ turn)
    for layer in layers:
        attention, mlp = layer.self_attn, layer.mlp
        _turn_readers([getattr(attention, n) for n in READERS], layer.input_layernorm, turn)
        _turn_readers([getattr(mlp, n) for n in MLP_READERS], layer.post_attention_layernorm, turn)
        for writer in (attention.o_proj, mlp.down_proj):
            writer.weight.copy_(turn.T @ writer.weight.double())
    base.norm.weight.fill_(1)
    model.config.tie_word_embeddings = False
    model.set_output_embeddings(output)
    return model


def reinitialise(model: Any, *, seed: int) -> Any:
    """Return a model of the same configuration with weights as before any training."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return type(model)(model.config).to(dtype=model.dtype)


def _read(weight: torch.Tensor, norm: Any, turn: torch.Tensor) -> torch.Tensor:
    """A matrix that reads a norm, for the norm without its weights and the turned stream."""
    read: torch.Tensor = (weight.double() * norm.weight.double()) @ turn
    return read


def _turn_readers(readers: Sequence[Any], norm: Any, turn: torch.Tensor) -> None:
    for reader in readers:
        reader.weight.copy_(_read(reader.weight, norm, turn))
    norm.weight.fill_(1)


def _check_form(model: Any, layer: Any) -> None:
    children = {name for name, _ in layer.named_children()}
    wanted = {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"}
    plain = children == wanted and type(layer.input_layernorm).__name__ == "LlamaRMSNorm"
    writers = (layer.self_attn.o_proj, layer.mlp.down_proj) if plain else ()
    if not plain or any(writer.bias is not None for writer in writers):
        raise UsageError(
            f"{type(model).__name__}: a rotated twin is made of Llama-like models only"
        )
