"""Sparse autoencoders of three features in two dimensions, written in the published formats."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

ENCODER = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-1.0, 2.0]])  # (n_features, d_model)
ENCODER_BIAS = torch.tensor([-1.0, 0.5, 0.0])
DECODER = torch.tensor([[3.0, 4.0], [0.0, 2.0], [1.0, 0.0]])
BIAS = torch.tensor([0.5, -0.5])
X = torch.tensor([[3.0, 1.0]])
UNIT = [[0.6, 0.8], [0.0, 1.0], [1.0, 0.0]]


def sae_lens(folder: Path, tensors: dict[str, torch.Tensor] | None = None, **settings: Any) -> Path:
    """SAELens's layout, version 6."""
    folder.mkdir(parents=True)
    weights = {
        "W_enc": ENCODER.T.contiguous(),
        "b_enc": ENCODER_BIAS,
        "W_dec": DECODER,
        "b_dec": BIAS,
    }
    save_file(weights | (tensors or {}), folder / "sae_weights.safetensors")
    config = {
        "architecture": "standard",
        "d_in": 2,
        "d_sae": 3,
        "apply_b_dec_to_input": False,
        "normalize_activations": "none",
        "metadata": {"hook_name": "blocks.7.hook_resid_post", "sae_lens_version": "6.54.12"},
    }
    (folder / "cfg.json").write_text(json.dumps(config | settings))
    return folder


def llama_scope(folder: Path, **settings: Any) -> Path:
    """OpenMOSS's layout; inputs are scaled by sqrt(2) / (sqrt(2) / 2) = 2."""
    (folder / "checkpoints").mkdir(parents=True)
    weights = {
        "encoder.weight": ENCODER,
        "encoder.bias": ENCODER_BIAS,
        "decoder.weight": DECODER.T.contiguous(),
        "decoder.bias": BIAS,
    }
    half = {name: tensor.bfloat16() for name, tensor in weights.items()}
    save_file(half, folder / "checkpoints" / "final.safetensors")
    config = {
        "d_model": 2,
        "d_sae": 3,
        "hook_point_in": "blocks.19.hook_resid_post",
        "hook_point_out": "blocks.19.hook_resid_post",
        "act_fn": "jumprelu",
        "jump_relu_threshold": 20.0,
        "norm_activation": "dataset-wise",
        "dataset_average_activation_norm": {"in": math.sqrt(2) / 2, "out": math.sqrt(2) / 2},
        "sparsity_include_decoder_norm": True,
        "apply_decoder_bias_to_pre_encoder": False,
        "use_glu_encoder": False,
        "top_k": 1,
    }
    (folder / "hyperparams.json").write_text(json.dumps(config | settings))
    return folder


def sparsify(folder: Path, **settings: Any) -> Path:
    """sparsify's layout."""
    folder.mkdir(parents=True)
    weights = {
        "encoder.weight": ENCODER,
        "encoder.bias": ENCODER_BIAS,
        "W_dec": DECODER,
        "b_dec": BIAS,
    }
    save_file(weights, folder / "sae.safetensors")
    config = {"activation": "topk", "num_latents": 3, "k": 1, "d_in": 2}
    (folder / "cfg.json").write_text(json.dumps(config | settings))
    return folder


def gemma_scope(folder: Path, *, npz: bool = True, **changes: Any) -> Path:
    """Gemma Scope's layout, or Gemma Scope 2's."""
    folder.mkdir(parents=True)
    arrays = {
        "W_enc": ENCODER.T.contiguous(),
        "b_enc": ENCODER_BIAS,
        "W_dec": DECODER,
        "b_dec": BIAS,
        "threshold": torch.tensor([2.0, 2.4, 0.0]),
    }
    if npz:
        plain = {name: value.numpy() for name, value in arrays.items()} | changes
        np.savez(folder / "params.npz", **plain)
    else:
        save_file({k.lower(): v for k, v in arrays.items()}, folder / "params.safetensors")
    return folder
