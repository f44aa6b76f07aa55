"""Explainers that need no training of their own, to be beaten: made by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..benchmark.cache import OnProgress
from ..benchmark.errors import UsageError
from ..benchmark.explainer import BaselineSpec, Explainer, ExplainerCard
from ..benchmark.registry import find_baseline
from ..benchmark.suite.suite import Suite
from ..benchmark.task import Task
from .registry import BASELINES

if TYPE_CHECKING:
    from ..benchmark.backends.injection.spec import Injections

__all__ = ["BASELINES", "check_baseline", "make_baseline", "reference_folder"]


def make_baseline(
    name: str,
    *,
    task: Task,
    suite: Suite,
    split: str,
    device: str = "cpu",
    dtype: str = "auto",
    batch_size: int | None = None,
    use_vectors: bool = True,
    injection: Injections | None = None,
    on_progress: OnProgress = lambda _what, _done, _total: None,
) -> tuple[Explainer, ExplainerCard]:
    """Learn or load a baseline.

    Args:
        name: its name, without `baseline/`.
        task: the task it will answer.
        suite: the suite; only what the baseline's `needs` say is opened.
        split: the split it will answer; oracles are told about this split.
        device: for the baselines that run the target model, as are dtype, batch size, injection.
        dtype: dtype of its weights, or `auto`.
        batch_size: rows decoded together.
        use_vectors: whether prompts carry their vectors.
        injection: how they enter.
        on_progress: told what is measured first.

    Raises:
        UsageError: unknown name, a task it cannot answer, or vectors it needs are left out.
    """
    spec = check_baseline(name, task, use_vectors=use_vectors)
    if name in ("selfie", "logit-lens", "input-lens", "input-lens-2"):
        return _load_described(
            name,
            suite,
            split,
            device,
            dtype=dtype,
            batch_size=batch_size,
            injection=injection,
            on_progress=on_progress,
        )
    if name == "calculator":
        from .calculator import load_calculator

        return load_calculator(task, suite, device=device, dtype=dtype, batch_size=batch_size)
    if "target-model" in spec.needs:
        from .prompted import load_untrained

        return load_untrained(
            name,
            task=task.name,
            suite=suite,
            device=device,
            dtype=dtype,
            batch_size=batch_size,
            use_vectors=use_vectors,
            injection=injection,
            openings=task.openings if spec.opens else (),
        )
    learners = _feature_learners() if suite.describes else _learners()
    explainer, settings = learners[name](task, suite, split)
    return explainer, ExplainerCard(name=f"baseline/{name}", kind=spec.kind, settings=settings)


def check_baseline(name: str, task: Task, *, use_vectors: bool) -> BaselineSpec:
    """Return the baseline with a name if it can answer a task.

    Raises:
        UsageError: unknown name, a task it cannot answer, or vectors it needs are left out.
    """
    spec = find_baseline(name)
    if task.name not in spec.tasks:
        raise UsageError(f"baseline/{name} answers {', '.join(spec.tasks)}, not {task.name}")
    reads = "vectors" in spec.needs and name not in ("zero-shot", "few-shot")
    if reads and task.uses_vector and not use_vectors:
        raise UsageError(f"baseline/{name} reads vectors; it cannot do without them")
    return spec


Learner = Callable[[Task, Suite, str], tuple[Explainer, dict[str, Any]]]
"""Task, suite and the split to answer, to the explainer and its settings."""


def _load_described(
    name: str,
    suite: Suite,
    split: str,
    device: str,
    *,
    dtype: str,
    batch_size: int | None,
    injection: Injections | None,
    on_progress: OnProgress,
) -> tuple[Explainer, ExplainerCard]:
    """Load a baseline that reads weights to describe features."""
    from . import lens as tokens
    from . import selfie

    if name == "logit-lens":
        return tokens.load_logit_lens(suite, device=device)
    if name == "selfie":
        return selfie.load_selfie(
            suite, device=device, dtype=dtype, batch_size=batch_size, injection=injection
        )
    read = 1 if name == "input-lens" else 2
    return tokens.load_input_lens(suite, split, tokens=read, device=device, on_progress=on_progress)


def _feature_learners() -> dict[str, Learner]:
    from . import features

    return {
        "constant": features.learn_constant,
        "random": features.learn_random,
        "nearest-neighbour": features.learn_neighbour,
        "nearest-neighbour-pooled": lambda task, suite, split: features.learn_neighbour(
            task, suite, split, pooled=True
        ),
        "reference-description": features.learn_reference,
    }


def _learners() -> dict[str, Learner]:
    from . import constant, input_only, nearest_neighbour, oracles

    return {
        "constant": constant.learn,
        "input-only": lambda task, suite, _split: input_only.learn("input-only", task, suite),
        "rule-of-thumb": lambda task, suite, _split: input_only.learn("rule-of-thumb", task, suite),
        "nearest-neighbour": nearest_neighbour.learn,
        "unchanged": oracles.learn_unchanged,
        "source-oracle": oracles.learn_source,
    }


def reference_folder(name: str) -> Path:
    """Folder of a reference explainer that ships with the package; see `recipes`."""
    from . import recipes

    return recipes.reference_folder(name)
