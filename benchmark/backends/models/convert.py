"""GGUF to float32 safetensors.

Owns the conversion only; paths, locks and hashes belong to `fetch.py`.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from ...errors import MissingPartError
from .pretrained import from_folder


def dequantise_gguf(gguf_path: Path, out_dir: Path) -> None:
    """Unpack a GGUF file into a folder that loads like any other model.

    Args:
        gguf_path: the file; weights and tokenizer are both read from it.
        out_dir: an existing folder; gets `config.json`, `model.safetensors` (float32) and the
            tokenizer.

    Raises:
        MissingPartError: the disk is full, or a package is not installed.
        UsageError: transformers cannot read the file.
    """
    folder, name = gguf_path.parent, gguf_path.name
    model = from_folder(
        AutoModelForCausalLM,
        folder,
        gguf_file=name,
        # without this the weights stay packed, which is slow and cannot be saved
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.float32,
    )
    try:
        model.save_pretrained(out_dir)
    except SafetensorError as error:
        raise MissingPartError(
            f"cannot write {out_dir / 'model.safetensors'}: {error}; make room on the disk and run "
            "the same command again"
        ) from error
    from_folder(AutoTokenizer, folder, gguf_file=name).save_pretrained(out_dir)
