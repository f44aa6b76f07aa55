"""What a simulator is, its predictions as they are stored, and descriptions dealt to others.

Runs no model itself: a simulator is handed in (`benchmark.backends.simulator.Simulator`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ....benchmark.errors import UsageError

STEPS = 25.5
"""Stored steps of one unit of activation: 0 to 10 becomes 0 to 255."""

Ids = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


class Simulator(Protocol):
    """Predicts activations from descriptions."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def sha256(self) -> str:
        """Hash of everything its predictions depend on."""
        ...

    def predict(self, descriptions: Sequence[str], windows: Ids) -> Floats:
        """Activations 0 to 10, float32 (n, w, 32), of windows, int32 (n, w, 32)."""
        ...


def quantise(predicted: Floats) -> Bytes:
    """Turn activations 0 to 10 of any shape into the bytes that are stored.

    Raises:
        UsageError: a number is none, or lies outside.
    """
    if not bool(((predicted >= 0) & (predicted <= 10)).all()):
        raise UsageError("a predicted activation is not a number from 0 to 10")
    return np.round(predicted.astype(np.float64) * STEPS).astype(np.uint8)


def shuffled(names: Sequence[str], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Give every feature the place of another one whose description means something else.

    Args:
        names: what each description means, such as its predicate's name.
        rng: chooses among the ways to do it.

    Returns:
        A permutation, (n,): `names[permutation[i]] != names[i]` for every i.

    Raises:
        UsageError: more than half of the features mean the same.
    """
    kinds, meaning = np.unique(np.array(names, dtype=np.str_), return_inverse=True)
    largest = int(np.bincount(meaning).max()) if len(names) else 1
    if 2 * largest > len(names):
        raise UsageError(f"{largest} of {len(names)} descriptions mean the same")
    # Equal meanings side by side in random order; moving on by at least the largest group, and by
    # as much less than the whole, leaves no feature within its own.
    order = np.lexsort((rng.permutation(len(names)), rng.permutation(len(kinds))[meaning]))
    found = np.zeros(len(names), dtype=np.int64)
    found[order] = np.roll(order, int(rng.integers(largest, len(names) - largest + 1)))
    return found
