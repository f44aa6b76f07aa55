"""One training step: against sparsify's own loss, and on data whose directions are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from introspect_bench.benchmark.backends.autoencoder import (
    Trainee,
    coefficients,
)

STEP: dict[str, Any] = {"dead_after": 10**9, "auxiliary": 1 / 32}


def make_trainee(width: int = 8, latents: int = 16, k: int = 3) -> Trainee:
    generator = torch.Generator().manual_seed(3)
    return Trainee(width, latents, k, generator=generator)


def sparse_data(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Sums of 2 of 40 random directions in 32 dimensions, and the directions."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn((40, 32), generator=torch.Generator().manual_seed(99))
    directions /= directions.norm(dim=1, keepdim=True)
    chosen = torch.rand((n, 40), generator=generator).topk(2, dim=1).indices
    strength = torch.zeros(n, 40).scatter_(1, chosen, 1 + torch.rand((n, 2), generator=generator))
    data = strength @ directions
    return data - data.mean(dim=0), directions


def test_a_step_has_the_gradients_of_the_librarys_loss() -> None:
    trainee = make_trainee()
    with torch.no_grad():
        # positive, so no activation among the k largest is 0, where the library has a gradient
        trainee.coder.encoder.bias.normal_(3.0, generator=torch.Generator().manual_seed(1))
        trainee.coder.b_dec.normal_(generator=torch.Generator().manual_seed(2))
    x = torch.randn((40, 8), generator=torch.Generator().manual_seed(4))
    trainee.scale = float(x.square().mean().sqrt())
    coder = trainee.coder
    out = coder(x / trainee.scale)
    out.fvu.backward()
    expected = {
        name: value.grad.clone()
        for name, value in trainee.parameters().items()
        if value.grad is not None
    }
    # as the step removes it
    parallel = (expected["W_dec"] * coder.W_dec).sum(dim=1, keepdim=True) * coder.W_dec
    expected["W_dec"] = (expected["W_dec"] - parallel).detach()
    unexplained = trainee.step(x, 0.0, **STEP)
    assert unexplained == pytest.approx(out.fvu.item(), rel=1e-5)
    assert set(expected) == set(trainee.parameters())
    for name, value in trainee.parameters().items():
        assert value.grad is not None
        torch.testing.assert_close(value.grad, expected[name], rtol=1e-4, atol=1e-6)


def test_an_activation_of_zero_has_no_gradient() -> None:
    trainee = make_trainee()
    with torch.no_grad():
        trainee.coder.encoder.bias.fill_(-1e6)
    x = torch.randn((40, 8), generator=torch.Generator().manual_seed(4))
    trainee.scale = float(x.square().mean().sqrt())
    trainee.step(x, 0.0, **STEP)
    assert not trainee.coder.encoder.weight.grad.any()
    assert trainee.coder.b_dec.grad.any()


def test_true_directions_are_found() -> None:
    trainee = make_trainee(32, 40, 2)
    data, directions = sparse_data(20_000)
    trainee.scale = float(data.square().mean().sqrt())
    losses = []
    for step in range(400):
        at = step * 250 % 20_000
        rate = 0.02 * min(1.0, (400 - step) / 100)
        losses.append(trainee.step(data[at : at + 250], rate, **{**STEP, "dead_after": 2000}))
    assert losses[-1] < 0.1 < 0.4 < losses[0]
    found = trainee.coder.W_dec.detach()
    nearest = (directions @ found.T).max(dim=1).values
    assert float((nearest > 0.95).float().mean()) >= 0.75


def test_dead_latents_learn_only_with_the_auxiliary_loss() -> None:
    data, _ = sparse_data(500)
    moved = {}
    for auxiliary in (0.0, 1 / 32):
        trainee = make_trainee(32, 40, 2)
        trainee.scale = float(data.square().mean().sqrt())
        with torch.no_grad():
            trainee.coder.encoder.bias[:5] = -2.0  # can fire, but is never among the largest
        before = trainee.coder.encoder.weight.detach().clone()
        trainee.since_fired[:5] = 1000
        assert int((trainee.since_fired >= 1000).sum()) == 5
        trainee.step(data, 1e-3, dead_after=1000, auxiliary=auxiliary)
        change = (trainee.coder.encoder.weight.detach() - before).abs()
        moved[auxiliary] = float(change[:5].max())
    assert moved[1 / 32] > 1e-4
    assert moved[0.0] < moved[1 / 32]


def test_a_zero_decoder_row_is_never_active() -> None:
    trainee = make_trainee()
    with torch.no_grad():
        trainee.coder.W_dec[3] = 0
    weights = trainee.arrays()
    assert all(np.isfinite(value).all() for value in weights.values())
    left = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32)
    found = coefficients(left, weights, np.zeros(16, dtype=np.float32))
    active = np.concatenate([columns for _, _, columns, _ in found])
    assert set(active.tolist()) == {*range(16)} - {3}


def test_latents_that_fire_are_counted_as_alive() -> None:
    trainee = make_trainee()
    x = torch.randn((40, 8), generator=torch.Generator().manual_seed(4))
    trainee.scale = float(x.square().mean().sqrt())
    out = trainee.coder(x / trainee.scale).latent_indices.unique()
    trainee.step(x, 0.0, **STEP)
    expected = torch.full((16,), 40)
    expected[out] = 0
    assert trainee.since_fired.tolist() == expected.tolist()


def test_training_leaves_the_global_random_state_alone() -> None:
    state = torch.get_rng_state()
    make_trainee()
    assert torch.equal(torch.get_rng_state(), state)
