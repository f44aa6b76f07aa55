"""From descriptions and windows to predicted activations, as they are stored in run files.

Owns the quantised form of predictions, the rows that hold them, the choice of other features'
windows and descriptions, and how the quality of a simulator is measured. Runs no model itself: a
simulator is handed in (`benchmark.backends.simulator.Simulator`); its numbers are worked out in
`simulator_report.py`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.tasks.feature_descriptions.simulator_report import quality

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


def judgements(
    simulator: Simulator, qids: Sequence[str], descriptions: Sequence[str], windows: Ids
) -> list[dict[str, Any]]:
    """Simulate descriptions of queries.

    Args:
        simulator: reads them.
        qids: ids of the queries.
        descriptions: one for each, already normalised.
        windows: held-out windows of each, int32 (n, w, 32).

    Returns:
        A row for each, in order: `kind`, `qid`, `judge` (`simulator/NAME@` and 12 digits of its
        hash), `text`, `predicted` (base64 of uint8 (w * 32,), 25.5 for each unit).
    """
    if not qids:
        return []
    judge = f"simulator/{simulator.name}@{simulator.sha256[:12]}"
    predicted = quantise(simulator.predict(descriptions, windows))
    return [
        {
            "kind": "judgement",
            "qid": qid,
            "judge": judge,
            "text": text,
            "predicted": base64.b64encode(values.tobytes()).decode(),
        }
        for qid, text, values in zip(qids, descriptions, predicted, strict=True)
    ]


def read_predicted(text: str, shape: tuple[int, ...], where: str) -> Bytes:
    """Read the stored predictions of a row.

    Args:
        text: base64 of uint8.
        shape: their shape.
        where: what to call the row in an error, such as `file:line`.

    Raises:
        IntegrityError: it is not base64, or of another size.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise IntegrityError(f"{where}: predicted is not base64: {error}") from error
    if len(data) != np.prod(shape):
        raise IntegrityError(f"{where}: {len(data)} predictions, expected {np.prod(shape)}")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


def foreign_windows(
    windows: npt.NDArray[np.int64],
    count: int,
    rng: np.random.Generator,
    pool: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.int64]:
    """Draw windows of other features for every feature, to learn what it is not active on.

    Args:
        windows: numbers of each feature's own windows, (n, w), in one common text.
        count: how many to draw for each.
        rng: draws them.
        pool: numbers of windows to draw from; those of all features if None.

    Returns:
        Numbers of windows, (n, count), in a row none twice and none of the feature's own.

    Raises:
        UsageError: a feature has not as many others.
    """
    pool = np.unique(windows) if pool is None else pool
    found = np.zeros((len(windows), count), dtype=np.int64)
    for row, own in enumerate(windows):
        drawn = rng.permutation(pool)[: count + len(own)]
        others = drawn[~np.isin(drawn, own)][:count]
        if len(others) < count:
            raise UsageError(f"{count} foreign windows: there are {len(others)} for feature {row}")
        found[row] = others
    return found


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


def simulator_quality(
    simulator: Simulator,
    *,
    descriptions: Sequence[str],
    opposites: Sequence[str],
    names: Sequence[str],
    windows: Ids,
    activations: Floats,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Measure a simulator on features that it was not trained on, as stored predictions.

    Args:
        simulator: the simulator.
        descriptions: a true description of each feature.
        opposites: the opposite of each.
        names: what each description means, such as its predicate's name.
        windows: held-out windows, int32 (n, w, 32).
        activations: true activations there, float32 (n, w, 32).
        rng: pairs features with others' descriptions, then draws the bootstrap.

    Returns:
        What `simulator_report.quality` says, with the simulator's `name` and `sha256`.

    Raises:
        UsageError: lengths differ, or descriptions cannot be shuffled.
    """
    if {len(descriptions), len(opposites), len(names), len(activations)} != {len(windows)}:
        raise UsageError("descriptions, opposites, names, windows and activations differ in number")
    places = shuffled(names, rng)
    texts = {
        "true": list(descriptions),
        "shuffled": [descriptions[place] for place in places],
        "empty": [""] * len(windows),
        "reversed": list(opposites),
    }
    predicted = {kind: quantise(simulator.predict(text, windows)) for kind, text in texts.items()}
    found = quality(activations, predicted, rng=rng)
    return {"simulator": {"name": simulator.name, "sha256": simulator.sha256}, **found}
