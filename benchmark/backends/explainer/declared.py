"""What a folder's `explainer.json` says, read strictly."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ...errors import UsageError
from ...files import read_json
from ..injection.spec import Injections, injections_from_json

THRESHOLDS = "verdict_thresholds"
KNOWN = frozenset(
    {"decoding", "injection", "schema", "training", "twin", "validation_loss", THRESHOLDS}
)
"""Keys of `explainer.json`; all but the schema and the loss are read here."""
SETTINGS = "explainer.json"  # optional file of a model's folder, see above


def declared_injection(path: Path) -> Injections:
    """How vectors enter."""
    values = read_json(path)
    if not isinstance(values.get("injection"), dict) or not set(values) <= KNOWN:
        raise UsageError(
            f"{path}: expected injection with an object, and nothing else but what training writes"
        )
    return injections_from_json(values["injection"])


def declared(path: Path, *keys: str) -> Any:
    """Return what is at a path of keys, or None."""
    value: Any = read_json(path) if path.is_file() else None
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def declared_twin(path: Path) -> dict[str, Any] | None:
    """How a control's base is changed, or None."""
    twin = declared(path, "twin")
    if twin is None:
        return None
    if not isinstance(twin, dict) or set(twin) != {"kind", "seed"}:
        raise UsageError(f"{path}: expected twin with kind and seed")
    if type(twin["kind"]) is not str or type(twin["seed"]) is not int:
        raise UsageError(f"{path}: expected a name as kind and a whole number as seed of its twin")
    return twin


def about_training(path: Path) -> dict[str, Any]:
    """What a card says of an explainer's training, where its folder says it."""
    n_train = declared(path, "training", "lessons", "n_train")
    reading = declared(path, "training", "settings", "reading")
    loss = declared(path, "validation_loss")
    if n_train is not None and (
        not isinstance(n_train, dict) or not all(type(n) is int for n in n_train.values())
    ):
        raise UsageError(f"{path}: expected n_train with a whole number for each task")
    if loss is not None and type(loss) is not float:
        raise UsageError(f"{path}: expected a number as validation_loss")
    if reading is not None and not isinstance(reading, dict):
        raise UsageError(f"{path}: expected reading with an object")
    about = {"twin": declared_twin(path), "n_train": n_train, "reading": reading}
    about = {name: value for name, value in about.items() if value}
    return about | ({} if loss is None else {"validation_loss": loss})


def declared_thresholds(path: Path) -> dict[str, float]:
    """The thresholds of verdicts, by task, that an explainer's folder says."""
    found = declared(path, THRESHOLDS) or {}
    if not isinstance(found, dict) or not all(
        type(value) in (int, float) and math.isfinite(value) for value in found.values()
    ):
        raise UsageError(f"{path}: expected {THRESHOLDS} with a number for each task")
    return {str(task): float(value) for task, value in found.items()}
