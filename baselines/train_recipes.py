"""Reference explainers from their recipes: trained, asked, scored; resumed where they stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..benchmark.backends.training.command import train
from ..benchmark.cache import Progress, silent
from ..benchmark.errors import UsageError
from ..benchmark.evaluation.run import run
from ..benchmark.evaluation.spec import RunSpec
from ..benchmark.models.targets import has_chat_template
from ..benchmark.runs.run import Run
from ..benchmark.suite.select import tasks_of
from ..benchmark.suite.subset import Amount
from .recipes import TARGET, ReferenceSpec, find_reference

EXPLAINERS, RUNS = "explainers", "runs"
"""Folders under the output: trained explainers by name, and their run files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeRequest:
    """What is asked of every recipe."""

    base: str | None = None
    """Model to train; the recipe's own if None."""
    suite: str = TARGET
    """Name or folder of the suite that is learnt and answered."""
    tasks: Sequence[str] = ()
    """Tasks to learn and answer; those the recipe is for if empty."""
    split: str | None = None
    """Queries to answer; None to train alone."""
    n_train: Amount | None = None
    """Training queries of each task, or below 1 the part of them; all if None."""
    device: str = "cpu"
    """A torch device."""
    seed: int = 0
    """As in `train`."""
    shuffled: bool = False
    """Also answer with vectors shuffled among queries, where vectors are seen."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of `train` that go before the recipe's, such as `epochs`."""


def train_recipes(
    names: Sequence[str],
    output: Path | str,
    *,
    progress: Progress = silent,
    **options: Any,
) -> dict[str, tuple[Run, ...]]:
    """Train explainers by recipes into `explainers/NAME` and have them answer a split in `runs/`.

    Options are fields of `RecipeRequest`. Killed at any moment, the same call goes on where it was.
    Returns what the run files hold, by recipe.
    """
    if not names:
        raise UsageError("name a reference explainer; `introspect-bench ls references` lists them")
    request, output = RecipeRequest(**options), Path(output)
    runs = {}
    for spec in [find_reference(name) for name in names]:
        folder = train(
            request.base or spec.base,
            output / EXPLAINERS / spec.name,
            progress=progress,
            **_recipe(spec, request),
        )
        runs[spec.name] = tuple(
            one
            for asked in _asked(spec, request, folder, output)
            for one in run(asked, progress=progress)
        )
    return runs


def _recipe(spec: ReferenceSpec, request: RecipeRequest) -> dict[str, Any]:
    tasks = tuple(request.tasks) or spec.tasks
    recipe = {**spec.training, **request.settings}
    if spec.no_vector:
        recipe.pop("projection", None)  # there is nothing to be mapped
    if request.base is not None and "chat_template" in recipe:
        from ..benchmark.backends.explainer.load import find_model

        if has_chat_template(find_model(request.base).directory):
            del recipe["chat_template"]  # the recipe's is for a base without one
    if not any(task.reading for task, _ in tasks_of(request.suite, tasks)):
        recipe.pop("reading", None)
    return {
        "suite": request.suite,
        "tasks": tasks,
        "n_train": request.n_train,
        "no_vector": spec.no_vector,
        "injection": spec.injection,
        "device": request.device,
        "seed": request.seed,
        **recipe,
    }


def _asked(
    spec: ReferenceSpec, request: RecipeRequest, folder: Path, output: Path
) -> list[RunSpec]:
    if request.split is None:
        return []
    return [
        RunSpec(
            model=str(folder),
            suite=request.suite,
            tasks=tuple(request.tasks) or spec.tasks,
            split=request.split,
            device=request.device,
            no_vector=spec.no_vector,
            shuffle_vectors=shuffle,
            resume="overwrite" if request.settings.get("overwrite") else "auto",
            output=output / RUNS,
        )
        for shuffle in ((False, True) if request.shuffled and not spec.no_vector else (False,))
    ]
