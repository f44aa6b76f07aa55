"""Runs on the same queries, and what else must be equal for a difference to be a finding."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import IncompleteRunError, UsageError
from ..metrics.verdicts import Table
from ..records import COMPARED, GREEDY
from ..registry import BASELINE, provided_baselines
from ..runs.header import Header, decoding_of, n_train
from ..suite.suite import Suite
from ..task import Task
from .grade import SEED, Graded


def stream(graded: Graded) -> np.random.Generator:
    """Return what `draws` does for a run."""
    return draws(graded.suite, graded.task, graded.split)


def draws(suite: Suite, task: Task, split: str) -> np.random.Generator:
    """Return the generator of everything that is drawn for runs of one suite, task and split."""
    name = f"{suite.name}/{task.name}/{task.version}/{split}"
    digest = hashlib.sha256(name.encode()).digest()
    return np.random.default_rng([SEED, int.from_bytes(digest[:8], "big")])


def match(graded: Sequence[Graded], *, common: bool = False) -> tuple[Table, ...]:
    """Return the headline answers of runs of one task, at least one, to the same queries.

    Runs are compared on the whole of what they are about, and only if that is the same. With
    `common`, on the queries that all have a row for, which somebody chose: for looking, not for
    claims.
    """
    first = graded[0]
    for other in graded[1:]:
        for what, ours, theirs in _differing(first, other):
            raise UsageError(
                f"{first.path} and {other.path} are about different queries: {what} is {ours!r} "
                f"and {theirs!r}; compare runs of one task, suite, version and split"
            )
    answered = [
        {one.query.id for one in g.headline if not common or one.raw is not None} for g in graded
    ]
    ids = set.intersection(*answered)
    for g, own in zip(graded, answered, strict=True):
        if not common and own != answered[0]:
            raise UsageError(
                f"{first.path} is about {len(answered[0])} queries and {g.path} about {len(own)}, "
                "which are not the same ones; compare whole runs, or add --common"
            )
        if not common and not g.run.complete:
            raise IncompleteRunError(
                f"{g.path}: {sum(one.raw is None for one in g.scored)} queries have no row; run "
                "the same command again to complete it, or add --common"
            )
    if not ids:
        raise UsageError(f"{first.path} and the other runs have no query in common")
    kept = [[row for row, one in enumerate(g.scored) if one.query.id in ids] for g in graded]
    return tuple(g.table(rows) for g, rows in zip(graded, kept, strict=True))


def _differing(first: Graded, other: Graded) -> list[tuple[str, object, object]]:
    pairs = [
        ("the task", first.task.name, other.task.name),
        ("the suite", first.suite.name, other.suite.name),
        ("the version", first.suite.version, other.suite.version),
        ("the split", first.split, other.split),
        ("data_sha256", first.suite.data_sha256, other.suite.data_sha256),
    ]
    return [pair for pair in pairs if pair[1] != pair[2]]


# Settings that are no part of a recipe, or are compared on their own: who was trained and from
# which seed, the learning rate, which each base model has for itself, and what changes no reply
NOT_RECIPE = frozenset(
    {
        "base",
        "batch_size",
        "decoding",
        "engine",
        "injection",
        "learning_rate",
        "n_train",
        "seed",
        "twin",
        "validation_loss",
        "vectors",
        "verdict_thresholds",
    }
)


def recipe(header: Header, task: Task, *, vectors: bool = True) -> dict[str, Any]:
    """Return what two runs must share; without `vectors`, not how vectors enter."""
    explainer = header.explainer
    settings = explainer.settings
    found: dict[str, Any] = {
        "kind": explainer.kind,
        # what a baseline, or somebody's code, does is in its name; a model is one of many
        "name": None if explainer.kind == "local" else explainer.name,
        "shots": explainer.shots,
        "decoding": decoding_of(explainer.settings).get("decoding", GREEDY),
        "n_train": n_train(settings, task.name),
        "threshold": task.name in (settings.get("verdict_thresholds") or {}),
        "settings": {key: one for key, one in settings.items() if key not in NOT_RECIPE},
    }
    return found | ({"injection": _entering(settings.get("injection"))} if vectors else {})


def fixed_verdict(header: Header, suite: Suite, metric: str) -> bool:
    """Whether a run could give but one verdict, so that its metric differs by construction.

    A reply that is compared with itself never says `changed`; some baselines say one thing always.
    """
    if suite.describes or metric.startswith("content_match"):
        return False
    explainer = header.explainer
    compared = decoding_of(explainer.settings).get("decoding") == COMPARED
    name = explainer.name
    single = (f"{BASELINE}{one.name}" for one in provided_baselines().BASELINES if one.one_verdict)
    return (compared and explainer.no_vector) or name in single


def _entering(injection: object) -> object:
    """How vectors enter, without the maps into a model of another width."""
    if not isinstance(injection, Mapping):
        return injection
    return {key: one for key, one in injection.items() if key != "projection"}
