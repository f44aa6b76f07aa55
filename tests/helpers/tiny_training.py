"""A tiny model as wide as the toy target's vectors, and a short training of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tiny_models import save_model
from tiny_suites import D_TARGET

import introspect_bench as ib


def make_base(folder: Path, **changes: Any) -> Path:
    """Write model and tokenizer."""
    sizes = {"hidden_size": D_TARGET, "num_attention_heads": 1, "num_key_value_heads": 1}
    sizes |= {"head_dim": 4, "max_position_embeddings": 4096}
    return save_model(folder, **(sizes | changes))


def train(base: Path | str, suites: Path, out: Path, **more: Any) -> Path:
    """Train on toy suites."""
    options: dict[str, Any] = {
        "suite": str(suites),
        "epochs": 3,
        "batch_size": 4,
        "rank": 2,
        "learning_rate": 0.02,
        "evaluations": 4,
        "patience": 9,
        "precision": "float32",
    }
    return ib.train(str(base), out, **(options | more))
