"""Reads sparse autoencoders from the formats they are published in; safetensors and npz only.

Four layouts, told apart by their files:

- Llama Scope: `hyperparams.json` and `checkpoints/final.safetensors` (OpenMOSS, He et al. 2024).
- Gemma Scope: `params.npz`, or `params.safetensors` for Gemma Scope 2 (Lieberum et al. 2024).
- SAELens: `cfg.json` and `sae_weights.safetensors`.
- sparsify: `cfg.json` and `sae.safetensors`; our own are stored so, with `centring.safetensors`.

What a layout may hold but this module does not compute exactly is refused, never approximated.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from introspect_bench.benchmark.backends.sae import Autoencoder, Centring, assemble
from introspect_bench.benchmark.errors import IntegrityError, MissingPartError, UsageError
from introspect_bench.benchmark.files import read_json

Tensors = dict[str, Tensor]
Read = tuple[int | None, Autoencoder]

_HOOK = re.compile(r"blocks\.(\d+)\.hook_resid_(post|pre)")


def read_autoencoder(
    folder: Path,
    *,
    layer: int | None = None,
    norm_factor: float | None = None,
    device: str = "cpu",
) -> tuple[int, Autoencoder]:
    """Read an autoencoder of the residual stream after a decoder layer.

    Args:
        folder: the folder of one autoencoder.
        layer: 0-based layer, where the files do not say it.
        norm_factor: what residuals are multiplied by before encoding, for SAELens releases trained
            with `expected_average_only_in`, whose files do not hold it.
        device: torch device of the result.

    Returns:
        The layer and the autoencoder.

    Raises:
        MissingPartError: the folder holds none of the four layouts.
        UsageError: not of the residual stream, or of a kind not read here, or `layer` is needed.
        IntegrityError: a file is damaged, or shapes contradict each other.
    """
    readers: tuple[tuple[str, Callable[[], Read]], ...] = (
        ("hyperparams.json", lambda: _llama_scope(folder)),
        ("params.npz", lambda: _gemma_scope(folder, _npz(folder / "params.npz"))),
        ("params.safetensors", lambda: _gemma_scope(folder, _load(folder / "params.safetensors"))),
        ("sae_weights.safetensors", lambda: _sae_lens(folder, norm_factor)),
        ("sae.safetensors", lambda: _sparsify(folder)),
    )
    for name, reader in readers:
        if (folder / name).is_file():
            found, autoencoder = reader()
            break
    else:
        raise MissingPartError(
            f"{folder} holds no sparse autoencoder: expected one of "
            f"{', '.join(name for name, _ in readers)} (pickle files are not read)"
        )
    if found is not None and layer is not None and found != layer:
        raise UsageError(f"{folder} is an autoencoder of layer {found}, not {layer}")
    at = layer if found is None else found
    if at is None:
        raise UsageError(f"{folder} does not say its layer; give it")
    return at, autoencoder.to(device)


def _llama_scope(folder: Path) -> Read:
    """Inputs are scaled to length sqrt(d_model) on average; scores count the decoder's length."""
    settings = read_json(folder / "hyperparams.json")
    weights = _load(folder / "checkpoints" / "final.safetensors")
    where = folder / "hyperparams.json"
    hook = _need(settings, "hook_point_in", where)
    if settings.get("hook_point_out", hook) != hook:
        raise UsageError(f"{where}: a transcoder, not an autoencoder")
    _refuse(where, settings, use_glu_encoder=False, apply_decoder_bias_to_pre_encoder=False)
    scale = 1.0
    kind = settings.get("norm_activation", "dataset-wise")
    if kind == "dataset-wise":
        averages = _need(settings, "dataset_average_activation_norm", where)
        scale = math.sqrt(int(_need(settings, "d_model", where))) / float(averages["in"])
    elif kind != "inference":  # already folded into the weights
        raise UsageError(f"{where}: norm_activation {kind!r} is not read here")
    decoder = _need(weights, "decoder.weight", where).T.contiguous()
    encoder, encoder_bias = (
        _need(weights, f"encoder.{part}", where) for part in ("weight", "bias")
    )
    bias = weights.get("decoder.bias")
    lengths = decoder.norm(dim=1)
    if not settings.get("sparsity_include_decoder_norm", True):
        lengths = torch.ones_like(lengths)
    threshold, k = None, None
    act = _need(settings, "act_fn", where)
    if act not in ("jumprelu", "topk", "relu"):
        raise UsageError(f"{where}: act_fn {act!r} is not read here")
    # a missing threshold must not turn the autoencoder into another one
    needed = act == "jumprelu" or "jump_relu_threshold" in settings
    jump = float(_need(settings, "jump_relu_threshold", where)) if needed else 0.0
    if jump > 0:  # trained with TopK, published with a threshold
        threshold = jump / lengths
    elif act == "topk":
        k = int(_need(settings, "top_k", where))
        # scores are what is compared, so the length moves from the decoder to the encoder
        encoder, encoder_bias = encoder * lengths[:, None], encoder_bias * lengths
        decoder = decoder / lengths[:, None]
    return _layer_of_hook(hook, where), assemble(
        folder,
        encoder=encoder,
        encoder_bias=encoder_bias,
        decoder=decoder,
        bias=decoder.new_zeros(decoder.shape[1]) if bias is None else bias,
        threshold=threshold,
        k=k,
        scale=scale,
    )


def _gemma_scope(folder: Path, weights: Tensors) -> Read:
    """JumpReLU with a threshold for each feature, on raw residuals."""
    named = {name.lower(): tensor for name, tensor in weights.items()}
    unknown = set(named) - {"w_enc", "w_dec", "b_enc", "b_dec", "threshold"}
    if unknown:
        raise UsageError(
            f"{folder}: {', '.join(sorted(unknown))}: not a plain JumpReLU autoencoder"
        )
    path = folder.absolute().as_posix()
    if re.search(r"transcoder|mlp_out|attn_out|embedding", path):
        raise UsageError(f"{folder} is not of the residual stream")
    layers = re.findall(r"layer_(\d+)", path)
    return int(layers[-1]) if layers else None, assemble(
        folder,
        encoder=_need(named, "w_enc", folder).T.contiguous(),
        encoder_bias=_need(named, "b_enc", folder),
        decoder=_need(named, "w_dec", folder),
        bias=_need(named, "b_dec", folder),
        threshold=_need(named, "threshold", folder),
    )


def _sae_lens(folder: Path, norm_factor: float | None) -> Read:
    """ReLU, TopK or JumpReLU; settings of versions before 6 lie flat, later ones in `metadata`."""
    where = folder / "cfg.json"
    settings = read_json(where)
    settings = {**settings, **settings.get("metadata", {})}
    weights = _load(folder / "sae_weights.safetensors")
    kind = settings.get("architecture", "standard")
    function = settings.get("activation_fn_str", settings.get("activation_fn", "relu"))
    k = None
    if kind == "topk" or function == "topk":
        arguments = settings.get("activation_fn_kwargs") or {}
        k = int(arguments["k"]) if "k" in arguments else int(_need(settings, "k", where))
    elif kind not in ("standard", "jumprelu") or function != "relu":
        raise UsageError(f"{where}: architecture {kind!r} with {function!r} is not read here")
    _refuse(where, settings, finetuning_scaling_factor=False, reshape_activations="none")
    scale = 1.0
    normalisation = settings.get("normalize_activations") or "none"
    if normalisation is True or normalisation == "expected_average_only_in":
        if norm_factor is None:
            raise UsageError(
                f"{where}: trained on scaled residuals; give the release's norm factor"
            )
        scale = norm_factor
    elif normalisation != "none":
        raise UsageError(f"{where}: normalize_activations {normalisation!r} is not read here")
    encoder = _need(weights, "W_enc", where).T.contiguous()
    encoder_bias, decoder, bias = (
        _need(weights, name, where) for name in ("b_enc", "W_dec", "b_dec")
    )
    if k is not None and settings.get("rescale_acts_by_decoder_norm", False):
        lengths = decoder.norm(dim=1)
        encoder, encoder_bias = encoder * lengths[:, None], encoder_bias * lengths
        decoder = decoder / lengths[:, None]
    hook = settings.get("hook_name", settings.get("hook_point", ""))
    return _layer_of_hook(hook, where), assemble(
        folder,
        encoder=encoder,
        encoder_bias=encoder_bias,
        decoder=decoder,
        bias=bias,
        center=bias if settings.get("apply_b_dec_to_input", True) else None,
        threshold=_need(weights, "threshold", where) if kind == "jumprelu" else None,
        k=k,
        scale=scale,
    )


def _sparsify(folder: Path) -> Read:
    """TopK on residuals without the decoder's bias."""
    where = folder / "cfg.json"
    settings = read_json(where)
    _refuse(where, settings, activation="topk", transcode=False, skip_connection=False)
    _refuse(where, settings, signed=False)
    weights = _load(folder / "sae.safetensors")
    bias = _need(weights, "b_dec", where)
    autoencoder = assemble(
        folder,
        encoder=_need(weights, "encoder.weight", where),
        encoder_bias=_need(weights, "encoder.bias", where),
        decoder=_need(weights, "W_dec", where),
        bias=bias,
        center=bias,
        k=int(_need(settings, "k", where)),
    )
    extra = folder / "centring.safetensors"
    if extra.is_file():
        tensors = _load(extra)
        cap = float(_need(tensors, "cap", extra))
        autoencoder = replace(
            autoencoder, centring=Centring(mean=_need(tensors, "mean", extra), cap=cap)
        )
    named = re.fullmatch(r"layers[._](\d+)", folder.name)
    return int(named[1]) if named else None, autoencoder


def _layer_of_hook(hook: str, where: Path) -> int:
    match = _HOOK.fullmatch(hook)
    layer = -1 if match is None else int(match[1]) - (match[2] == "pre")
    if layer < 0:
        raise UsageError(f"{where}: hook {hook!r} is not the residual stream after a layer")
    return layer


def _refuse(where: Path, settings: Mapping[str, Any], **expected: object) -> None:
    for name, value in expected.items():
        if settings.get(name, value) != value:
            raise UsageError(f"{where}: {name} {settings[name]!r} is not read here")


def _need(mapping: Mapping[str, Any], name: str, where: Path) -> Any:
    if name not in mapping:
        raise IntegrityError(f"{where}: no {name!r}")
    return mapping[name]


def _load(path: Path) -> Tensors:
    try:
        return {name: tensor.float() for name, tensor in load_file(path).items()}
    except FileNotFoundError as error:
        raise MissingPartError(f"{path} is missing") from error
    except SafetensorError as error:
        raise IntegrityError(f"{path}: not a safetensors file: {error}") from error


def _npz(path: Path) -> Tensors:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name]).float() for name in arrays.files}
    except (ValueError, OSError, EOFError) as error:
        raise IntegrityError(f"{path}: not an npz file of plain arrays: {error}") from error
