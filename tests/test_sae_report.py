"""The report's numbers, on autoencoders whose quality is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_models import D_MODEL
from tiny_targets import make_target

from introspect_bench.benchmark.backends.residuals import window_residuals
from introspect_bench.benchmark.backends.sae import Autoencoder, Centring
from introspect_bench.benchmark.backends.sae_report import reconstruction, recovered

IDS = np.random.default_rng(2).integers(2, 250, (6, 8)).astype(np.int32)


def identity(*, factor: float = 1.0, **changes: object) -> Autoencoder:
    """One feature for each sign of each dimension: reconstructs `factor` times its input."""
    both = torch.cat([torch.eye(D_MODEL), -torch.eye(D_MODEL)])
    settings: dict[str, object] = {
        "center": torch.zeros(D_MODEL),
        "encoder": both,
        "encoder_bias": torch.zeros(2 * D_MODEL),
        "gain": torch.full((2 * D_MODEL,), factor),
        "directions": both,
        "bias": torch.zeros(D_MODEL),
    }
    return Autoencoder(**(settings | changes))  # type: ignore[arg-type]


def test_a_perfect_autoencoder() -> None:
    target = make_target()
    (row,) = reconstruction(target, {1: identity()}, IDS, bos=0, chunk=4).values()
    assert row["unexplained"] == pytest.approx(0, abs=1e-9)
    assert row["l0"] == D_MODEL
    assert row["tokens"] == 48
    assert (row["dead"], row["capped"]) == (0, 0)
    (row,) = recovered(target, {1: identity()}, IDS, bos=0, chunk=4).values()
    assert row["loss_reconstructed"] == pytest.approx(row["loss_clean"], rel=1e-5)
    assert row["recovered_zero"] == pytest.approx(1, abs=1e-4)
    assert row["recovered_mean"] == pytest.approx(1, abs=1e-4)


def test_an_autoencoder_that_reconstructs_zero_or_the_mean() -> None:
    target = make_target()
    ids = torch.from_numpy(IDS.astype(np.int64))
    mean = window_residuals(target, ids, bos=0, layers=(1,))[1].mean(dim=(0, 1))
    nothing = torch.full((2 * D_MODEL,), 1e9)  # no activation passes this threshold
    zero = identity(threshold=nothing)
    middle = identity(threshold=nothing, bias=mean)
    (row,) = recovered(target, {1: zero}, IDS, bos=0, chunk=4).values()
    assert row["recovered_zero"] == 0
    (row,) = recovered(target, {1: middle}, IDS, bos=0, chunk=4).values()
    assert row["recovered_mean"] == pytest.approx(0, abs=1e-4)
    (row,) = reconstruction(target, {1: middle}, IDS, bos=0, chunk=4).values()
    assert row["unexplained"] == pytest.approx(1, abs=1e-5)
    assert (row["l0"], row["dead"]) == (0, 1)


def test_unexplained_variance_counts_deviations_from_the_mean() -> None:
    target = make_target()
    x = window_residuals(target, torch.from_numpy(IDS.astype(np.int64)), bos=0, layers=(2,))[2]
    x = x.flatten(0, 1).double()
    (row,) = reconstruction(target, {2: identity(factor=0.5)}, IDS, bos=0, chunk=5).values()
    expected = (0.5 * x).square().sum() / (x - x.mean(dim=0)).square().sum()
    assert row["unexplained"] == pytest.approx(float(expected), rel=1e-5)


def test_capped_tokens_are_counted() -> None:
    target = make_target()
    x = window_residuals(target, torch.from_numpy(IDS.astype(np.int64)), bos=0, layers=(2,))[2]
    lengths = x.flatten(0, 1).norm(dim=1)
    cap = float(lengths.sort().values[36:38].mean())  # 37 of 48 are shorter
    centring = Centring(mean=torch.zeros(D_MODEL), cap=cap)
    autoencoder = identity(centring=centring)
    (row,) = reconstruction(target, {2: autoencoder}, IDS, bos=0, chunk=4).values()
    assert row["capped"] == pytest.approx(11 / 48)
    assert row["unexplained"] == pytest.approx(0, abs=1e-9)
