"""What a run would cost, guessed without loading weights.

Owns the arithmetic of `run --dry-run`. Guesses are for planning a lunch break: upper bounds on a
CPU, nothing at all for devices and explainers of which nothing is known.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from introspect_bench.benchmark.models.fetch import prepared_dir
from introspect_bench.benchmark.models.targets import TargetSpec, layers_and_width, locate
from introspect_bench.benchmark.registry import BASELINE, find_baseline
from introspect_bench.benchmark.suite.suite import Suite

REPLY_TOKENS = 24
"""Tokens of a usual reply, as many as a query's answer needs."""
_ENCODER = (6, 384)
"""Layers and width of the encoder of sentences."""
_PHRASES = 3
"""Texts that are embedded for a description."""
_MATRIX = 512
_TRIALS = 5


def model_seconds(
    model: str, suite: Suite, *, device: str, tokens: int, queries: int
) -> float | None:
    """Guess how long a local model takes on this CPU, in seconds, or None if nothing is known.

    A pass over one token costs two operations a weight; a decoder layer of width d has about 12 d²
    weights (arXiv:2001.08361, section 2.1).

    Args:
        model: what the user typed.
        suite: the suite, whose target a baseline may run.
        device: a torch device; only the CPU's speed is known.
        tokens: tokens of all prompts.
        queries: number of replies.
    """
    if model.startswith(BASELINE):
        if "target-model" not in find_baseline(model).needs:
            return 0.0
        model = str(suite.manifest["target"].get("name"))
    size = _size(model)
    if size is None or device != "cpu":
        return None
    n_layers, d_model = size
    operations = 2 * 12 * n_layers * d_model**2 * (tokens + REPLY_TOKENS * queries)
    return operations / _operations_per_second()


def judging_seconds(suite: Suite, *, device: str, queries: int) -> float | None:
    """Guess how long the judge of descriptions takes on this CPU, in seconds, or None elsewhere.

    It embeds every description and its phrases.

    Args:
        suite: the suite; 0 if its answers are no descriptions.
        device: a torch device; only the CPU's speed is known.
        queries: number of descriptions.
    """
    if not suite.describes:
        return 0.0
    if device != "cpu":
        return None
    n_layers, d_model = _ENCODER
    operations = 2 * 12 * n_layers * d_model**2 * queries * _PHRASES * REPLY_TOKENS
    return operations / _operations_per_second()


def fetch_target(model: str, suite: Suite) -> TargetSpec | None:
    """Return the named target that would have to be downloaded first, or None."""
    if model.startswith(BASELINE):
        needs = find_baseline(model).needs
        if "target-model" not in needs and not suite.describes:
            return None
        model = str(suite.manifest["target"].get("name"))
    found = locate(model)
    return found if isinstance(found, TargetSpec) and not prepared_dir(found).is_dir() else None


def _size(model: str) -> tuple[int, int] | None:
    found = locate(model)
    if isinstance(found, TargetSpec):
        return found.n_layers, found.d_model
    # the folder of an adapter has no configuration of its own
    if isinstance(found, Path) and (found / "config.json").is_file():
        return layers_and_width(found)
    return None


def _operations_per_second() -> float:
    """Measure this machine's float32 matrix product, in operations per second."""
    matrix = np.ones((_MATRIX, _MATRIX), dtype=np.float32)
    start = time.perf_counter()
    for _ in range(_TRIALS):
        matrix @ matrix
    return _TRIALS * 2 * _MATRIX**3 / (time.perf_counter() - start)
