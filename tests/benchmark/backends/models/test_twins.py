"""Twins of a base model: what a rotation keeps, what it changes, and what is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from tiny_models import make_model, make_tokenizer

from introspect_bench.benchmark.backends.models.twins import make_twin, rotate_basis, rotation
from introspect_bench.benchmark.errors import UsageError

IDS = torch.tensor([[5, 9, 2, 30, 7], [1, 8, 8, 4, 3]])


def outputs(model: Any) -> Any:
    with torch.no_grad():
        return model.eval()(input_ids=IDS, output_hidden_states=True)


def lively(name: str) -> Any:
    """A model whose norms do something."""
    model = make_model(name, make_tokenizer())
    generator = torch.Generator().manual_seed(3)
    for key, value in model.named_parameters():
        if "norm" in key:
            value.data = 0.5 + torch.rand(value.shape, generator=generator)
    return model


def test_a_rotated_twin_says_the_same_in_other_coordinates() -> None:
    model = lively("llama")
    before = outputs(copy.deepcopy(model))
    after = outputs(rotate_basis(model, seed=4))
    torch.testing.assert_close(after.logits, before.logits, atol=1e-4, rtol=1e-4)
    turn = rotation(before.hidden_states[0].shape[-1], seed=4).float()
    for theirs, mine in zip(after.hidden_states[:-1], before.hidden_states[:-1], strict=True):
        torch.testing.assert_close(theirs, mine @ turn, atol=1e-4, rtol=1e-4)
        assert not torch.allclose(theirs, mine, atol=0.05)


def test_a_rotation_is_orthogonal_and_depends_on_its_seed() -> None:
    turn = rotation(7, seed=0)
    torch.testing.assert_close(turn @ turn.T, torch.eye(7, dtype=torch.float64))
    assert torch.equal(turn, rotation(7, seed=0))
    assert not torch.allclose(turn, rotation(7, seed=1))


def test_reinitialised_weights_depend_on_the_seed_alone() -> None:
    one, again, other = (
        make_twin(make_model("llama", make_tokenizer()), "random-init", seed=seed)
        for seed in (0, 0, 1)
    )
    assert torch.equal(outputs(one).logits, outputs(again).logits)
    assert not torch.allclose(outputs(one).logits, outputs(other).logits)
    original = outputs(make_model("llama", make_tokenizer())).logits
    assert not torch.allclose(outputs(one).logits, original)


@pytest.mark.parametrize("name", ["gpt2", "qwen3", "gemma3"])
def test_a_model_of_another_form_is_not_rotated(name: str) -> None:
    with pytest.raises(UsageError, match="Llama-like models only"):
        make_twin(make_model(name, make_tokenizer()), "rotated", seed=0)


def test_an_unknown_twin_is_refused() -> None:
    with pytest.raises(UsageError, match="choose from rotated, random-init"):
        make_twin(make_model("llama", make_tokenizer()), "mirrored", seed=0)
