"""What tests of projections share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tiny_models

TEXTS = ["A man walked into a bar. So?", "if (x > 3) { return 7; }", "Über straße, naïve."]


def save_model(folder: Path, **changes: Any) -> Path:
    return tiny_models.save_model(folder, max_position_embeddings=4096, **changes)
