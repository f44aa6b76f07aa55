"""What the simulators of the study learn from: the train split of a suite of features of context.

Activations on windows of other features are computed from the target and what a suite ships; only
the token tables lie in the folder of the suite's build.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

from introspect_bench.benchmark.backends.interventions.trace import residual_arrays
from introspect_bench.benchmark.backends.simulator.examples import Lessons
from introspect_bench.benchmark.errors import CheckFailedError
from introspect_bench.benchmark.suite.features import TOKEN, arrays
from introspect_bench.benchmark.suite.suite import Suite
from introspect_bench.tasks.feature_descriptions.build.stages import folder_of
from introspect_bench.tasks.feature_descriptions.build.table import TokenTable
from introspect_bench.tasks.feature_descriptions.judge import quality
from introspect_bench.tasks.feature_descriptions.judge.conjunctions import denied
from introspect_bench.tasks.feature_descriptions.windows import bos_id

Floats = npt.NDArray[np.float32]
BATCH = 64
"""Windows of one forward pass of the target."""
TOLERANCE = 0.01
"""How far an activation may be from the shipped one, as a share of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Sizes of a trial."""

    n_train: int = 2000
    """Features of train that are learned from."""
    pool: int = 384
    """Windows of train that others' are drawn from."""
    others: int = 8
    """Windows of others beside a feature's own 16."""
    most: int = 60
    """Features of a kind that are measured."""
    seed: int = 0
    """Chooses all of them."""


def make_lessons(suite: Suite, work: Path, target: Any, plan: Plan) -> Lessons:
    """Features of train with their own windows and others', and activations on both.

    Raises:
        CheckFailedError: activations computed from `work` are not those of the suite.
    """
    train, rng = quality.read_split(suite, "train"), np.random.default_rng(plan.seed)
    n, per, width = train.own["ids"].shape
    rows = np.sort(rng.permutation(n)[: plan.n_train])
    pool = rng.permutation(n * per)[: plan.pool]  # windows of features, by number
    ids = train.own["ids"].reshape(n * per, width)[pool]
    found = pool_activations(suite, train, work, target, ids)
    truth = train.own["activations"].astype(np.float32)
    owners = pool // per
    again, shipped = found[owners, range(len(pool))], truth.reshape(n * per, width)[pool]
    both = (again > 0) & (shipped > 0)  # at the threshold rounding decides
    if not (abs(again - shipped)[both] < TOLERANCE * shipped[both]).all() or (
        both.sum() < (1 - TOLERANCE) * (shipped > 0).sum()
    ):
        raise CheckFailedError(f"{work} is of another build: activations are not the suite's")
    drawn = [rng.permutation(np.flatnonzero(owners != row))[: plan.others] for row in rows]
    return Lessons(
        descriptions=tuple(tuple(train.truth[row].descriptions) for row in rows),
        opposites=tuple((denied(train.truth[row].predicate),) for row in rows),
        ids=np.concatenate([train.own["ids"][rows], ids[np.stack(drawn)]], axis=1),
        activations=np.concatenate([truth[rows], found[rows[:, None], np.stack(drawn)]], axis=1),
    )


def pool_activations(
    suite: Suite, train: quality.Split, work: Path, target: Any, ids: npt.NDArray[np.int32]
) -> Floats:
    """Activations of all features on windows (n_windows, 32), (n_features, n_windows, 32)."""
    shipped = arrays(suite, "train", "definitions")
    layers, bos = shipped["layers"].tolist(), bos_id(target.tokenizer)
    read = [
        residual_arrays(target, ids[start : start + BATCH], bos=bos, layers=layers)
        for start in range(0, len(ids), BATCH)
    ]
    found = np.zeros((len(train.queries), *ids.shape), dtype=np.float32)
    folders = [(one.fields["layer"], one.kind == TOKEN) for one in train.queries]
    for layer, plain in sorted(set(folders)):
        own = [row for row, folder in enumerate(folders) if folder == (layer, plain)]
        table = TokenTable(
            mean=shipped["mean"][layers.index(layer)],
            cap=float(shipped["cap"][layers.index(layer)]),
            rows=load_file(work / folder_of(layer, plain=plain) / "table.safetensors")["rows"],
        )
        flat = np.concatenate([one[layer] for one in read]).reshape(ids.size, -1)
        raw = table.left(flat, ids.ravel()) @ shipped["encoder"][own].T + shipped["bias"][own]
        raw[(raw < 0) | (raw < shipped["threshold"][own])] = 0
        found[own] = raw.T.reshape(len(own), *ids.shape)
    return found
