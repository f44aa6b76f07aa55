"""Residual streams of windows and spliced losses, against slower ways of getting them."""

from __future__ import annotations

import pytest
import torch
from tiny_models import D_MODEL
from tiny_targets import make_target

from introspect_bench.benchmark.backends.interventions.trace import (
    residuals,
    spliced_losses,
    window_residuals,
)
from introspect_bench.benchmark.errors import UsageError

IDS = torch.arange(2, 2 + 3 * 8).reshape(3, 8)


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2"])
def test_windows_are_read_as_the_nnsight_engine_reads_them(name: str) -> None:
    target = make_target(name)
    found = window_residuals(target, IDS, bos=0, layers=(0, 2))
    rows = [[0, *row] for row in IDS.tolist()]
    expected = torch.stack(residuals(target, rows, [list(range(1, 9))] * 3))  # (3, 8, layers, d)
    assert found.keys() == {0, 2}
    for layer, value in found.items():
        assert value.shape == (3, 8, D_MODEL)
        torch.testing.assert_close(value, expected[:, :, layer], rtol=1e-4, atol=1e-5)


def test_nothing_after_the_deepest_layer_is_computed() -> None:
    target = make_target()
    ran: list[int] = []
    for layer, module in enumerate(target.modules):
        module.register_forward_pre_hook(lambda *_, layer=layer: ran.append(layer))
    window_residuals(target, IDS, bos=0, layers=(1, 0))
    assert ran == [0, 1]


def test_no_hook_is_left_behind() -> None:
    target = make_target()
    window_residuals(target, IDS, bos=0, layers=(1,))
    spliced_losses(target, IDS, bos=0, layer=1, replace=torch.zeros_like)
    assert all(not module._forward_hooks for module in target.modules)


@pytest.mark.parametrize("layers", [(), (3,), (-1, 0)])
def test_a_layer_that_is_not_there_is_refused(layers: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="layers 0 to 2"):
        window_residuals(make_target(), IDS, bos=0, layers=layers)


def test_losses_are_the_targets_own() -> None:
    target = make_target()
    found = spliced_losses(target, IDS, bos=0)
    with torch.inference_mode():
        row = torch.tensor([[0, *IDS[1].tolist()]])
        chances = target.model(row).logits[0].log_softmax(-1)
    # the token before the window predicts its first token, which is not counted
    expected = torch.tensor([-chances[at, row[0, at + 1]] for at in range(1, 8)])
    torch.testing.assert_close(found[1], expected, rtol=1e-4, atol=1e-5)


def test_replacing_by_the_same_changes_no_loss_and_by_zero_does() -> None:
    target = make_target()
    clean = spliced_losses(target, IDS, bos=0)
    same = spliced_losses(target, IDS, bos=0, layer=1, replace=lambda x: x.clone())
    zero = spliced_losses(target, IDS, bos=0, layer=1, replace=torch.zeros_like)
    torch.testing.assert_close(same, clean)
    assert (zero - clean).abs().max() > 0.1
