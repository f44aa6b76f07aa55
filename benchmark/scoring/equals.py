"""What two runs must share before a difference between them is a finding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..records import COMPARED, GREEDY
from ..registry import BASELINE, provided_baselines
from ..runs.new_header import decoding_of, n_train
from ..suite.suite import Suite
from ..task import Task

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
    }
)


def recipe(header: Mapping[str, Any], task: Task, *, vectors: bool = True) -> dict[str, Any]:
    """Return what two runs must share; without `vectors`, not how vectors enter."""
    explainer = header["explainer"]
    said = explainer.get("settings")
    settings: Mapping[str, Any] = said if isinstance(said, Mapping) else {}
    found: dict[str, Any] = {
        "kind": explainer["kind"],
        # what a baseline, or somebody's code, does is in its name; a model is one of many
        "name": None if explainer["kind"] == "local" else explainer["name"],
        "shots": explainer["shots"],
        "decoding": decoding_of(explainer).get("decoding", GREEDY),
        "n_train": n_train(explainer, task.name),
        "settings": {key: one for key, one in settings.items() if key not in NOT_RECIPE},
    }
    return found | ({"injection": _entering(settings.get("injection"))} if vectors else {})


def fixed_verdict(header: Mapping[str, Any], suite: Suite, metric: str) -> bool:
    """Whether a run could give but one verdict, so that its metric differs by construction.

    A reply that is compared with itself never says `changed`; some baselines say one thing always.
    """
    if suite.describes or metric.startswith("content_match"):
        return False
    explainer = header["explainer"]
    compared = decoding_of(explainer).get("decoding") == COMPARED
    name = explainer["name"]
    single = (f"{BASELINE}{one.name}" for one in provided_baselines().BASELINES if one.one_verdict)
    return (compared and explainer["no_vector"]) or name in single


def _entering(injection: object) -> object:
    """How vectors enter, without the maps into a model of another width."""
    if not isinstance(injection, Mapping):
        return injection
    return {key: one for key, one in injection.items() if key != "projection"}
