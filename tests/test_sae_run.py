"""Training over a corpus: files, resuming, the order of windows, and the report on the result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load_file
from tiny_models import D_MODEL
from tiny_targets import make_target

from introspect_bench.benchmark.backends.residuals import window_residuals
from introspect_bench.benchmark.backends.sae_formats import read_autoencoder
from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.files import read_json
from introspect_bench.tasks.feature_descriptions import sae_train
from introspect_bench.tasks.feature_descriptions.sae_report import write_report
from introspect_bench.tasks.feature_descriptions.sae_train import SaeSettings, chunk_rows, train

SETTINGS = SaeSettings(
    layers=(0, 2), latents=24, k=3, tokens=12 * 4 * 32, chunk=4, batch=64, calibration=2
)


def make_ids(n: int = 21) -> npt.NDArray[np.int32]:
    return np.random.default_rng(5).integers(2, 250, (n, 32)).astype(np.int32)


def read_all(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_trained_files_are_read_and_explain_the_residuals(tmp_path: Path) -> None:
    target = make_target()
    seen: list[tuple[int, dict[int, float]]] = []
    settings = replace(SETTINGS, tokens=120 * 128, rate=1e-2)
    folders = train(
        target,
        make_ids(),
        settings,
        tmp_path / "sae",
        bos=0,
        report=lambda tokens, curve: seen.append((tokens, dict(curve))),
    )
    assert [tokens for tokens, _ in seen[:2]] == [128, 256]
    assert seen[-1][1][2] < 0.8 * seen[0][1][2]
    report = write_report(
        target, folders, make_ids(), tmp_path / "report.json", bos=0, chunk=4, loss_windows=8
    )
    assert read_json(tmp_path / "report.json") == report
    for layer in ("0", "2"):
        row = report["layers"][layer]
        assert 0 < row["unexplained"] < 0.6
        assert 0 < row["l0"] <= 3
        assert row["tokens"] == 21 * 32


def test_stored_weights_are_sparsifys_for_raw_residuals(tmp_path: Path) -> None:
    from sparsify import SparseCoder

    target = make_target()
    folders = train(target, make_ids(), SETTINGS, tmp_path, bos=0)
    ids = torch.from_numpy(make_ids(4).astype(np.int64))
    x = window_residuals(target, ids, bos=0, layers=(2,))[2].flatten(0, 1)
    layer, found = read_autoencoder(folders[2])
    assert layer == 2
    assert found.centring is not None
    lengths = (x - found.centring.mean).norm(dim=1)
    x = x[lengths < found.centring.cap]  # the library knows no cap
    assert len(x) > 100
    with torch.no_grad():
        out = SparseCoder.load_from_disk(folders[2])(x)
    torch.testing.assert_close(found.reconstruct(x), out.sae_out, rtol=1e-3, atol=1e-4)


def test_a_capped_residual_gets_its_length_back(tmp_path: Path) -> None:
    folders = train(make_target(), make_ids(), SETTINGS, tmp_path, bos=0)
    found = read_autoencoder(folders[0])[1]
    assert found.centring is not None
    mean, cap = found.centring.mean, found.centring.cap
    away = torch.randn((5, D_MODEL), generator=torch.Generator().manual_seed(0))
    away *= cap / away.norm(dim=1, keepdim=True)
    at_cap, far = mean + away, mean + 50 * away
    torch.testing.assert_close(found.encode(far), found.encode(at_cap), rtol=1e-3, atol=1e-3)
    expected = mean + 50 * (found.reconstruct(at_cap) - mean)
    torch.testing.assert_close(found.reconstruct(far), expected, rtol=1e-3, atol=1e-2)


class KilledError(Exception):
    """Stands for kill -9."""


def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    target, ids = make_target(), make_ids()
    train(target, ids, SETTINGS, tmp_path / "whole", bos=0)

    def die(tokens: int, _curve: Any) -> None:
        if tokens == 7 * 128:
            raise KilledError

    with pytest.raises(KilledError):
        train(target, ids, SETTINGS, tmp_path / "killed", bos=0, save_every=3, report=die)
    assert list(read_all(tmp_path / "killed")) == ["checkpoint.safetensors"]
    seen: list[int] = []
    train(
        target,
        ids,
        SETTINGS,
        tmp_path / "killed",
        bos=0,
        save_every=3,
        report=lambda tokens, _curve: seen.append(tokens),
    )
    assert seen[0] == 7 * 128  # six chunks were saved
    whole, killed = read_all(tmp_path / "whole"), read_all(tmp_path / "killed")
    assert killed == whole
    assert "layers.0/sae.safetensors" in whole


def test_another_seed_gives_other_bytes(tmp_path: Path) -> None:
    target, ids = make_target(), make_ids()
    other = replace(SETTINGS, seed=1)
    train(target, ids, SETTINGS, tmp_path / "a", bos=0)
    train(target, ids, other, tmp_path / "b", bos=0)
    name = "layers.0/sae.safetensors"
    assert read_all(tmp_path / "a")[name] != read_all(tmp_path / "b")[name]


def test_a_finished_run_is_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, ids = make_target(), make_ids()
    folders = train(target, ids, SETTINGS, tmp_path, bos=0)
    monkeypatch.setattr(sae_train, "_chunk", None)
    assert train(target, ids, SETTINGS, tmp_path, bos=0) == folders
    with pytest.raises(UsageError, match="other settings"):
        train(target, ids + 1, SETTINGS, tmp_path, bos=0)
    with pytest.raises(UsageError, match="other settings"):
        train(make_target(seed=1), ids, SETTINGS, tmp_path, bos=0)
    with pytest.raises(UsageError, match="other settings"):
        train(target, ids, replace(SETTINGS, seed=1), tmp_path, bos=0)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.safetensors").write_bytes(b"no")
    with pytest.raises(IntegrityError, match="checkpoint"):
        train(make_target(), make_ids(), SETTINGS, tmp_path, bos=0)


def test_a_pass_reads_every_window_once_and_the_next_in_another_order() -> None:
    settings = replace(SETTINGS, chunk=4)
    passes = [
        np.concatenate([chunk_rows(20, settings, 5 * n + place) for place in range(5)])
        for n in range(2)
    ]
    assert [sorted(rows) for rows in passes] == [list(range(20))] * 2
    assert passes[0].tolist() != passes[1].tolist()
    with pytest.raises(UsageError, match="do not fill a chunk"):
        chunk_rows(3, settings, 0)


def test_the_learning_rate_rises_stays_and_falls() -> None:
    settings = SaeSettings(layers=(0,), tokens=100 * 128, chunk=4, batch=128, rate=1.0)
    assert settings.n_steps == 100
    rates = [settings.rate_at(step) for step in range(100)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[5:81] == [1.0] * 76
    assert rates[90] == pytest.approx(0.5)
    assert rates[99] == pytest.approx(0.05)


def test_a_layer_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the target has 0 to 2"):
        train(make_target(), make_ids(), replace(SETTINGS, layers=(0, 3)), tmp_path, bos=0)


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="do not fill"):
        SaeSettings(layers=(0,), chunk=4, batch=100)
    with pytest.raises(UsageError, match="k <= latents"):
        SaeSettings(layers=(0,), latents=8, k=9)


def test_only_safetensors_and_json_are_written(tmp_path: Path) -> None:
    folders = train(make_target(), make_ids(), SETTINGS, tmp_path, bos=0)
    assert set(read_all(tmp_path)) == {
        "training.json",
        *(
            f"layers.{layer}/{name}"
            for layer in folders
            for name in ("cfg.json", "centring.safetensors", "sae.safetensors")
        ),
    }
    weights = load_file(folders[0] / "sae.safetensors")
    assert weights["W_dec"].shape == (24, D_MODEL)
