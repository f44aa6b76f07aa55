"""GGUF to float32 safetensors; paths, locks and hashes belong to `fetch.py`."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from introspect_bench.benchmark.backends.models.pretrained import from_folder
from introspect_bench.benchmark.errors import MissingPartError


def dequantise_gguf(gguf_path: Path, out_dir: Path) -> None:
    """Unpack a GGUF file, with its tokenizer, into an existing folder that loads like any other."""
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
