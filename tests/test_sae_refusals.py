"""What is not an autoencoder of the residual stream, or not computed exactly, is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_saes import gemma_scope, llama_scope, sae_lens, sparsify

from introspect_bench.benchmark.backends.sae_formats import read_autoencoder
from introspect_bench.benchmark.errors import IntegrityError, MissingPartError, UsageError


def test_an_object_in_an_npz_is_not_unpickled(tmp_path: Path) -> None:
    folder = gemma_scope(tmp_path / "layer_1", threshold=np.array([{}, 1, 2], dtype=object))
    with pytest.raises(IntegrityError, match="npz"):
        read_autoencoder(folder)


def test_pickles_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "ae.pt").write_bytes(b"")
    with pytest.raises(MissingPartError, match="pickle files are not read"):
        read_autoencoder(tmp_path)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"architecture": "gated"}, "gated"),
        ({"activation_fn": "tanh-relu"}, "tanh-relu"),
        ({"normalize_activations": "layer_norm"}, "layer_norm"),
        ({"metadata": {"hook_name": "blocks.7.hook_mlp_out"}}, "hook_mlp_out"),
        ({"metadata": {"hook_name": "blocks.0.hook_resid_pre"}}, "hook_resid_pre"),
        ({"reshape_activations": "hook_z"}, "hook_z"),
    ],
)
def test_what_is_not_computed_exactly_is_refused(
    tmp_path: Path, settings: dict[str, Any], match: str
) -> None:
    with pytest.raises(UsageError, match=match):
        read_autoencoder(sae_lens(tmp_path / "sae", **settings))


def test_other_kinds_of_llama_scope_and_sparsify_are_refused(tmp_path: Path) -> None:
    transcoder = llama_scope(tmp_path / "a", hook_point_out="blocks.19.hook_mlp_out")
    with pytest.raises(UsageError, match="transcoder"):
        read_autoencoder(transcoder)
    with pytest.raises(UsageError, match="groupmax"):
        read_autoencoder(sparsify(tmp_path / "layers.1", activation="groupmax"))


def test_a_llama_scope_without_its_threshold_is_not_taken_for_another(tmp_path: Path) -> None:
    folder = llama_scope(tmp_path / "a")
    config = json.loads((folder / "hyperparams.json").read_text())
    for missing in ("jump_relu_threshold", "act_fn"):
        less = {name: value for name, value in config.items() if name != missing}
        (folder / "hyperparams.json").write_text(json.dumps(less))
        with pytest.raises(IntegrityError, match=missing):
            read_autoencoder(folder)
    with pytest.raises(UsageError, match="gelu"):
        read_autoencoder(llama_scope(tmp_path / "b", act_fn="gelu"))


def test_the_layer_must_be_known_and_agree(tmp_path: Path) -> None:
    unnamed = gemma_scope(tmp_path / "anywhere")
    with pytest.raises(UsageError, match="does not say its layer"):
        read_autoencoder(unnamed)
    assert read_autoencoder(unnamed, layer=4)[0] == 4
    with pytest.raises(UsageError, match="layer 7, not 4"):
        read_autoencoder(sae_lens(tmp_path / "sae"), layer=4)


def test_contradicting_shapes_and_damage(tmp_path: Path) -> None:
    short = sae_lens(tmp_path / "a", {"b_dec": torch.zeros(3)})
    with pytest.raises(IntegrityError, match="decoder bias"):
        read_autoencoder(short)
    zero = sae_lens(tmp_path / "b", {"W_dec": torch.zeros(3, 2)})
    with pytest.raises(IntegrityError, match="3 decoder vectors are zero"):
        read_autoencoder(zero)
    broken = sae_lens(tmp_path / "c")
    (broken / "sae_weights.safetensors").write_bytes(b"no")
    with pytest.raises(IntegrityError, match="not a safetensors file"):
        read_autoencoder(broken)
