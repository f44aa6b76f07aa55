"""Residual streams of windows, against a slower way of getting them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_models import D_MODEL
from tiny_targets import make_target

from introspect_bench.benchmark.backends.interventions.trace import (
    residual_arrays,
    residuals,
)
from introspect_bench.benchmark.errors import UsageError

IDS = np.arange(2, 2 + 3 * 8, dtype=np.int32).reshape(3, 8)


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2"])
def test_windows_are_read_as_the_nnsight_engine_reads_them(name: str) -> None:
    target = make_target(name)
    found = residual_arrays(target, IDS, bos=0, layers=(0, 2))
    rows = [[0, *row] for row in IDS.tolist()]
    expected = torch.stack(residuals(target, rows, [list(range(1, 9))] * 3))  # (3, 8, layers, d)
    assert found.keys() == {0, 2}
    for layer, value in found.items():
        assert value.shape == (3, 8, D_MODEL)
        np.testing.assert_allclose(value, expected[:, :, layer].numpy(), rtol=1e-4, atol=1e-5)


def test_nothing_after_the_deepest_layer_is_computed() -> None:
    target = make_target()
    ran: list[int] = []
    for layer, module in enumerate(target.modules):
        module.register_forward_pre_hook(lambda *_, layer=layer: ran.append(layer))
    residual_arrays(target, IDS, bos=0, layers=(1, 0))
    assert ran == [0, 1]


def test_no_hook_is_left_behind() -> None:
    target = make_target()
    residual_arrays(target, IDS, bos=0, layers=(1,))
    assert all(not module._forward_hooks for module in target.modules)


@pytest.mark.parametrize("layers", [(), (3,), (-1, 0)])
def test_a_layer_that_is_not_there_is_refused(layers: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="layers 0 to 2"):
        residual_arrays(make_target(), IDS, bos=0, layers=layers)
