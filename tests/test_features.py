"""The one interface to all kinds of features."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.sparse import csr_array

from introspect_bench.benchmark.errors import MissingPartError, UsageError
from introspect_bench.tasks.feature_descriptions import features
from introspect_bench.tasks.feature_descriptions.features import (
    FeatureSource,
    activation_differences,
    centring,
    full_activations,
    parse_name,
    public_sae,
    trained_sae,
)

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MEAN = np.array([1.0, 1.0], np.float32)


def write_sae(folder: Path, *, cap: float | None = None) -> Path:
    """TopK with k = 1: the encoder is the identity, decoder vectors are 2 long."""
    folder.mkdir(parents=True)
    weights = {
        "encoder.weight": torch.eye(2),
        "encoder.bias": torch.zeros(2),
        "W_dec": 2 * torch.eye(2),
        "b_dec": torch.ones(2),
    }
    save_file(weights, folder / "sae.safetensors")
    config = {"activation": "topk", "num_latents": 2, "k": 1, "d_in": 2}
    (folder / "cfg.json").write_text(json.dumps(config))
    if cap is not None:
        save_file(
            {"mean": torch.ones(2), "cap": torch.tensor(cap)}, folder / "centring.safetensors"
        )
    return folder


def test_an_autoencoders_features(tmp_path: Path) -> None:
    source: FeatureSource = trained_sae(write_sae(tmp_path / "layers.5"))
    assert (source.name, source.layer) == ("layers.5", 5)
    np.testing.assert_array_equal(source.directions, np.eye(2, dtype=np.float32))
    residuals = np.array([[4, 3], [0, 0], [1, 6]], np.float32)
    found = source.encode(residuals)
    # minus (1, 1): (3, 2), (-1, -1), (0, 5); the larger one if positive, times 2
    assert isinstance(found, csr_array)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found.toarray(), [[6, 0], [0, 0], [0, 10]])
    assert found.nnz == 2


def test_no_residuals_give_no_rows(tmp_path: Path) -> None:
    source = trained_sae(write_sae(tmp_path / "layers.5"))
    assert source.encode(np.zeros((0, 2), np.float32)).shape == (0, 2)


def test_a_long_residual_is_capped(tmp_path: Path) -> None:
    folder = write_sae(tmp_path / "layers.5", cap=5.0)
    source = trained_sae(folder)
    # (301, 401) - (1, 1) is 500 long and becomes (3, 4)
    found = source.encode(np.array([[301, 401], [4, 3]], np.float32)).toarray()
    np.testing.assert_allclose(found, [[0, 8], [6, 0]], rtol=1e-5)
    mean, cap = centring(folder)
    assert (mean.tolist(), cap) == ([1.0, 1.0], 5.0)


def test_a_public_autoencoder_has_no_centring(tmp_path: Path) -> None:
    with pytest.raises(MissingPartError, match=r"centring\.safetensors"):
        centring(write_sae(tmp_path / "layers.5"))


def test_full_activations_project_on_the_centred_vector() -> None:
    vectors = np.array([[4, 5], [1, -1]], np.float32)  # minus the mean (3, 4) and (0, -2)
    source: FeatureSource = full_activations(vectors, layer=3, mean=MEAN, cap=100.0)
    assert (source.name, source.layer) == ("full activation", 3)
    np.testing.assert_allclose(source.directions, [[0.6, 0.8], [0.0, -1.0]], rtol=1e-6)
    found = source.encode(np.array([[4, 5], [2, 1]], np.float32))
    # (3, 4) gives 5 and -4; (1, 0) gives 0.6 and 0
    np.testing.assert_allclose(found, [[5.0, -4.0], [0.6, 0.0]], rtol=1e-6)
    assert found.dtype == np.float32


def test_projections_are_of_capped_residuals() -> None:
    vectors = np.array([[4, 5]], np.float32)
    source = full_activations(vectors, layer=3, mean=MEAN, cap=2.5)
    found = source.encode(np.array([[301, 401], [2, 1]], np.float32))
    np.testing.assert_allclose(found, [[2.5], [0.6]], rtol=1e-6)


def test_differences_go_from_the_second_to_the_first() -> None:
    first, second = np.array([[5, 2]], np.float32), np.array([[2, 6]], np.float32)
    source: FeatureSource = activation_differences(first, second, layer=3, mean=MEAN, cap=9.0)
    assert source.name == "activation difference"
    np.testing.assert_allclose(source.directions, [[0.6, -0.8]], rtol=1e-6)
    np.testing.assert_allclose(source.encode(np.array([[2, 2]], np.float32)), [[-0.2]], rtol=1e-5)


def test_a_vector_without_a_direction_is_refused() -> None:
    same = np.array([[5, 2]], np.float32)
    with pytest.raises(UsageError, match="1 vectors are zero"):
        activation_differences(same, same, layer=3, mean=MEAN, cap=9.0)
    with pytest.raises(UsageError, match="1 vectors are zero"):
        full_activations(MEAN[None], layer=3, mean=MEAN, cap=9.0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            f"llama-scope-8x@{COMMIT}:19",
            ("fnlp/Llama3_1-8B-Base-LXR-8x", COMMIT, "Llama3_1-8B-Base-L19R-8x"),
        ),
        (
            f"gemma-scope-2b@{COMMIT}:layer_12/width_16k/average_l0_82",
            ("google/gemma-scope-2b-pt-res", COMMIT, "layer_12/width_16k/average_l0_82"),
        ),
        (f"org/saes@{COMMIT}:layers.3", ("org/saes", COMMIT, "layers.3")),
    ],
)
def test_public_names(name: str, expected: tuple[str, str, str]) -> None:
    assert parse_name(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "llama-scope-8x:19",
        "org/saes@main:layers.3",
        f"org/saes@{COMMIT}",
        f"org/saes@{COMMIT}:../x",
        f"org/saes@{COMMIT}:/etc",
        f"unknown-scope@{COMMIT}:1",
    ],
)
def test_names_that_are_not_pinned_or_leave_the_repository(name: str) -> None:
    with pytest.raises(UsageError):
        parse_name(name)


def test_only_the_folder_is_downloaded_at_the_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sae(tmp_path / "saes" / "layers.2")
    asked: list[tuple[str, dict[str, Any]]] = []

    def snapshot_download(hub_id: str, **settings: Any) -> str:
        asked.append((hub_id, settings))
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    source = public_sae(f"org/saes@{COMMIT}:saes/layers.2")
    assert source.layer == 2
    patterns = [f"saes/layers.2/*.{kind}" for kind in ("json", "safetensors", "npz")]
    assert asked == [("org/saes", {"revision": COMMIT, "allow_patterns": patterns})]


def test_an_unreachable_hub_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot_download(*_: Any, **__: Any) -> str:
        raise OSError("no route\nmore")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    with pytest.raises(MissingPartError, match=r"needs a model hub \(no route\)"):
        public_sae(f"org/saes@{COMMIT}:layers.2")


def test_short_names_need_one_place_each() -> None:
    assert all(template.count("{}") == 1 for _, template in features.RELEASES.values())
