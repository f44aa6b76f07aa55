"""Explainers that need no training of their own, to be beaten: made by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ..benchmark.cache import Progress, silent
from ..benchmark.errors import UsageError
from ..benchmark.explainer import BaselineSpec, Explainer, ExplainerCard
from ..benchmark.registry import find_baseline
from ..benchmark.suite.suite import Suite
from ..benchmark.task import Task
from .registry import BASELINES

__all__ = ["BASELINES", "check_baseline", "make_baseline", "reference_folder", "reference_names"]


def make_baseline(
    name: str,
    *,
    task: Task,
    suite: Suite,
    split: str,
    device: str = "cpu",
    use_vectors: bool = True,
    progress: Progress = silent,
    **options: Any,
) -> tuple[Explainer, ExplainerCard]:
    """Learn or load a baseline, which opens of a suite only what its `needs` say.

    Oracles are given outputs of the split. Baselines that run the target take `dtype`, `batch_size`
    and `injection` as options, as `load_local` does.
    """
    spec = check_baseline(name, task, use_vectors=use_vectors)
    if name == "calculator":
        from .calculator import load_calculator

        options.pop("injection", None)
        return load_calculator(task, suite, device=device, **options)
    if name in ("logit-lens", "input-lens", "input-lens-2"):
        from . import lens

        if name == "logit-lens":
            return lens.load_logit_lens(suite, device=device)
        tokens = 1 if name == "input-lens" else 2
        return lens.load_input_lens(suite, split, tokens=tokens, device=device, progress=progress)
    if "target-model" in spec.needs:
        from . import prompted

        if name == "selfie":
            return prompted.load_selfie(suite, device=device, **options)
        options |= {"device": device, "use_vectors": use_vectors}
        return prompted.load_untrained(spec, task, suite, **options)
    learners = _feature_learners() if suite.describes else _learners()
    explainer, settings = learners[name](task, suite, split)
    return explainer, ExplainerCard(name=f"baseline/{name}", kind=spec.kind, settings=settings)


def check_baseline(name: str, task: Task, *, use_vectors: bool) -> BaselineSpec:
    """The baseline with a name, if it can answer a task."""
    spec = find_baseline(name)
    if task.name not in spec.tasks:
        raise UsageError(f"baseline/{name} answers {', '.join(spec.tasks)}, not {task.name}")
    reads = "vectors" in spec.needs and name not in ("zero-shot", "few-shot")
    if reads and task.uses_vector and not use_vectors:
        raise UsageError(f"baseline/{name} reads vectors; it cannot do without them")
    return spec


Learner = Callable[[Task, Suite, str], tuple[Explainer, dict[str, Any]]]
"""Task, suite and the split to answer, to the explainer and its settings."""


def _feature_learners() -> dict[str, Learner]:
    from . import features

    return {
        "constant": features.learn_constant,
        "random": features.learn_random,
        "nearest-neighbour": features.learn_neighbour,
        "nearest-neighbour-pooled": partial(features.learn_neighbour, pooled=True),
        "reference-description": features.learn_reference,
    }


def _learners() -> dict[str, Learner]:
    from . import constant, input_only, nearest_neighbour

    return {
        "constant": constant.learn,
        "input-only": partial(input_only.learn, "input-only"),
        "rule-of-thumb": partial(input_only.learn, "rule-of-thumb"),
        "nearest-neighbour": nearest_neighbour.learn,
        "unchanged": constant.learn_unchanged,
        "source-oracle": constant.learn_source,
    }


def reference_names() -> tuple[str, ...]:
    """Names of all recipes of reference explainers, and of their controls without vectors."""
    from .recipes import NO_VECTOR, REFERENCES

    names = (spec.name for spec in REFERENCES)
    return tuple(f"{name}{end}" for name in names for end in ("", NO_VECTOR))


def reference_folder(name: str) -> Path:
    """Folder of a reference explainer that ships with the package; see `recipes`."""
    from . import recipes

    return recipes.reference_folder(name)
