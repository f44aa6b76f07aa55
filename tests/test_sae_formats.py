"""Published formats of sparse autoencoders, written here and worked out by hand.

d_model 2, three features. With no normalisation x = (3, 1) gives pre-activations
3 - 1 = 2, 2 * 1 + 0.5 = 2.5 and -3 + 2 * 1 = -1. Decoder vectors (3, 4), (0, 2), (1, 0) are 5, 2
and 1 long.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_saes import UNIT, X, gemma_scope, llama_scope, sae_lens, sparsify

from introspect_bench.benchmark.backends.sae import Autoencoder, encode_array
from introspect_bench.benchmark.backends.sae_formats import read_autoencoder
from introspect_bench.benchmark.errors import UsageError


def close(found: torch.Tensor, expected: list[float]) -> None:
    torch.testing.assert_close(found[0], torch.tensor(expected).float(), rtol=1e-4, atol=1e-5)


def test_gemma_scope(tmp_path: Path) -> None:
    layer, found = read_autoencoder(gemma_scope(tmp_path / "layer_12/width_16k/average_l0_82"))
    assert layer == 12
    torch.testing.assert_close(found.directions, torch.tensor(UNIT))
    # 2 is not greater than its threshold 2; 2.5 > 2.4, times the decoder's length 2
    close(found.encode(X), [0, 5, 0])
    close(found.reconstruct(X), [0.5, 4.5])


def test_gemma_scope_2(tmp_path: Path) -> None:
    folder = gemma_scope(tmp_path / "resid_post/layer_9_width_16k_l0_small", npz=False)
    layer, found = read_autoencoder(folder)
    assert layer == 9
    close(found.encode(X), [0, 5, 0])


def test_sae_lens_relu(tmp_path: Path) -> None:
    layer, found = read_autoencoder(sae_lens(tmp_path / "sae"))
    assert layer == 7
    close(found.encode(X), [10, 5, 0])  # 2 * 5, 2.5 * 2
    # 2 * (3, 4) + 2.5 * (0, 2) + (0.5, -0.5), as the autoencoder itself decodes
    close(found.reconstruct(X), [6.5, 12.5])


def test_sae_lens_before_version_6_subtracts_the_decoder_bias(tmp_path: Path) -> None:
    folder = sae_lens(tmp_path / "sae")
    config = {"d_in": 2, "d_sae": 3, "hook_point": "blocks.7.hook_resid_pre"}
    (folder / "cfg.json").write_text(json.dumps(config))
    layer, found = read_autoencoder(folder)
    assert layer == 6  # what enters block 7 is what leaves block 6
    # x - b_dec = (2.5, 1.5): 1.5, 3.5, 0.5
    close(found.encode(X), [7.5, 7, 0.5])


def test_sae_lens_topk(tmp_path: Path) -> None:
    plain = sae_lens(tmp_path / "a", architecture="topk", k=1)
    scaled = sae_lens(tmp_path / "b", architecture="topk", k=1, rescale_acts_by_decoder_norm=True)
    old = sae_lens(tmp_path / "c", activation_fn_str="topk", activation_fn_kwargs={"k": 2})
    # compared are 2 and 2.5, or with the decoder's lengths 10 and 5
    close(read_autoencoder(plain)[1].encode(X), [0, 5, 0])
    close(read_autoencoder(scaled)[1].encode(X), [10, 0, 0])
    close(read_autoencoder(old)[1].encode(X), [10, 5, 0])


def test_topk_keeps_no_negative_activation(tmp_path: Path) -> None:
    found = read_autoencoder(sae_lens(tmp_path / "a", architecture="topk", k=3))[1]
    close(found.encode(X), [10, 5, 0])


def test_sae_lens_jumprelu(tmp_path: Path) -> None:
    tensors = {"threshold": torch.tensor([1.9, 2.6, 0.0])}
    folder = sae_lens(tmp_path / "sae", tensors, architecture="jumprelu")
    close(read_autoencoder(folder)[1].encode(X), [10, 0, 0])


def test_sae_lens_scaled_inputs(tmp_path: Path) -> None:
    folder = sae_lens(tmp_path / "sae", normalize_activations="expected_average_only_in")
    with pytest.raises(UsageError, match="norm factor"):
        read_autoencoder(folder)
    found = read_autoencoder(folder, norm_factor=2.0)[1]
    # (6, 2): 5, 4.5, -2; half of 5 * 5 and 4.5 * 2 in units of the residual stream
    close(found.encode(X), [12.5, 4.5, 0])
    # (5 * (3, 4) + 4.5 * (0, 2) + (0.5, -0.5)) / 2
    close(found.reconstruct(X), [7.75, 14.25])


def test_llama_scope(tmp_path: Path) -> None:
    layer, found = read_autoencoder(llama_scope(tmp_path / "Llama3_1-8B-Base-L19R-8x"))
    assert layer == 19
    # (6, 2): 5, 4.5, -2; times the decoder's lengths 25 and 9, of which one is above 20
    close(found.encode(X), [12.5, 0, 0])
    close(found.reconstruct(X), [7.75, 9.75])  # (5 * (3, 4) + (0.5, -0.5)) / 2


def test_llama_scope_without_the_decoders_length(tmp_path: Path) -> None:
    folder = llama_scope(
        tmp_path / "sae", sparsity_include_decoder_norm=False, jump_relu_threshold=4.75
    )
    close(read_autoencoder(folder)[1].encode(X), [12.5, 0, 0])


def test_llama_scope_topk(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"act_fn": "topk", "jump_relu_threshold": 0.0}
    found = read_autoencoder(llama_scope(tmp_path / "a", **changes))[1]
    close(found.encode(X), [12.5, 0, 0])
    found = read_autoencoder(llama_scope(tmp_path / "b", **changes, top_k=2))[1]
    close(found.encode(X), [12.5, 4.5, 0])


def test_sparsify(tmp_path: Path) -> None:
    layer, found = read_autoencoder(sparsify(tmp_path / "layers.3"))
    assert layer == 3
    # x - b_dec = (2.5, 1.5): 1.5, 3.5, 0.5, of which one is kept
    close(found.encode(X), [0, 7, 0])
    close(found.reconstruct(X), [0.5, 6.5])


def test_sparsify_agrees_with_its_own_library(tmp_path: Path) -> None:
    from sparsify import SparseCoder

    folder = sparsify(tmp_path / "layers.3", k=2)
    x = torch.randn((20, 2), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = SparseCoder.load_from_disk(folder)(x).sae_out
    torch.testing.assert_close(read_autoencoder(folder)[1].reconstruct(x), expected)


def every_format(root: Path) -> list[Path]:
    return [
        gemma_scope(root / "layer_1" / "g"),
        sae_lens(root / "s"),
        sae_lens(root / "t", architecture="topk", k=2),
        llama_scope(root / "l"),
        sparsify(root / "layers.1"),
    ]


def test_activations_are_coefficients_of_unit_directions(tmp_path: Path) -> None:
    x = torch.randn((50, 2), generator=torch.Generator().manual_seed(1)) * 3
    for folder in every_format(tmp_path):
        found = read_autoencoder(folder)[1]
        torch.testing.assert_close(found.directions.norm(dim=1), torch.ones(3))
        by_hand = found.encode(x) @ found.directions + found.bias
        torch.testing.assert_close(found.reconstruct(x), by_hand)
        assert (found.encode(x) >= 0).all()


def test_pieces_are_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("introspect_bench.benchmark.backends.sae.CELLS", 7)
    found: Autoencoder = read_autoencoder(sae_lens(tmp_path / "sae"))[1]
    x = np.random.default_rng(0).normal(size=(11, 2)).astype(np.float32) * 3
    dense = np.zeros((11, 3), np.float32)
    pieces = list(encode_array(found, x))
    for rows, columns, values in pieces:
        dense[rows, columns] = values
    assert len(pieces) == 6  # two rows each
    np.testing.assert_allclose(dense, found.encode(torch.from_numpy(x)).numpy())
