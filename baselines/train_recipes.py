"""Reference explainers from their recipes: trained, asked, scored; resumed wherever they stopped.

Owns the loop over recipes. What is trained and how it is asked are the recipe's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..benchmark.backends.training.command import OnStep, train
from ..benchmark.backends.training.projection_start import OnAlign
from ..benchmark.cache import OnAnswers, OnProgress, silent
from ..benchmark.errors import UsageError
from ..benchmark.evaluation.run import OnQueries, run
from ..benchmark.evaluation.spec import RunRequest
from ..benchmark.runs.run import Run
from ..benchmark.suite.find import tasks_of
from ..benchmark.suite.subset import Amount
from .recipes import TARGET, ReferenceSpec, find_reference

EXPLAINERS, RUNS = "explainers", "runs"
"""Folders under the output: trained explainers by name, and their run files."""


def train_recipes(
    names: Sequence[str],
    output: Path,
    *,
    base: str | None = None,
    suite: str = TARGET,
    tasks: Sequence[str] = (),
    split: str | None = None,
    n_train: Amount | None = None,
    device: str = "cpu",
    seed: int = 0,
    shuffled: bool = False,
    settings: dict[str, Any] | None = None,
    on_fetch: OnProgress = silent,
    on_align: OnAlign = lambda _done, _total: None,
    on_step: Callable[[str], OnStep] = lambda _name: lambda _done, _total, _loss: None,
    on_queries: OnQueries | None = None,
    on_answers: OnAnswers | None = None,
) -> dict[str, tuple[Run, ...]]:
    """Train reference explainers by their recipes and have them answer a split.

    Killed at any moment, the same call goes on where it was.

    Args:
        names: recipes, without `reference/`.
        output: folder that gets `explainers/NAME` and `runs/`.
        base: model to train; the recipe's own if None.
        suite: name or folder of the suite that is learnt and answered.
        tasks: tasks to learn and answer; those the recipe is for if empty.
        split: queries to answer; None to train alone.
        n_train: training queries of each task, or below 1 the part of them; all if None.
        device: a torch device.
        seed: as in `train`.
        shuffled: also answer with vectors shuffled among queries, where vectors are seen.
        settings: arguments of `train` that go before the recipe's, such as `epochs`.
        on_fetch: told what is downloaded and prepared.
        on_align: told pairs of tokens that are read to fit a projection.
        on_step: given a recipe's name, returns who is told how far its training is.
        on_queries: told task, queries answered, queries in all.
        on_answers: told judge, descriptions judged, descriptions in all.

    Returns:
        What the run files hold, by recipe; their explainers are in `output`.

    Raises:
        UsageError: unknown recipe, none at all, or as `train` and `run`.
        CheckFailedError: a training's loss is not a finite number any more.
        MissingPartError: weights, device or disk space are missing.
        IntegrityError: a file is corrupt.
    """
    if not names:
        raise UsageError("name a reference explainer; `introspect-bench ls references` lists them")
    specs = [find_reference(name) for name in names]
    found = {}
    for spec in specs:
        chosen = tuple(tasks) or spec.tasks
        recipe = {**spec.training, **(settings or {})}
        if spec.no_vector:
            recipe.pop("projection", None)  # there is nothing to be mapped
        if not any(task.reading for task, _ in tasks_of(suite, chosen)):
            recipe.pop("reading", None)
        folder = train(
            base or spec.base,
            output / EXPLAINERS / spec.name,
            suite=suite,
            tasks=chosen,
            n_train=n_train,
            no_vector=spec.no_vector,
            injection=spec.injection,
            device=device,
            seed=seed,
            on_fetch=on_fetch,
            on_align=on_align,
            on_step=on_step(spec.name),
            **recipe,
        )
        found[spec.name] = tuple(
            one
            for shuffle in (() if split is None else _ways(spec, shuffled))
            for one in run(
                RunRequest(
                    model=str(folder),
                    suite=suite,
                    tasks=chosen,
                    split=split or "test",
                    device=device,
                    no_vector=spec.no_vector,
                    shuffle_vectors=shuffle,
                    output=output / RUNS,
                ),
                on_fetch=on_fetch,
                on_queries=on_queries,
                on_answers=on_answers,
            )
        )
    return found


def _ways(spec: ReferenceSpec, shuffled: bool) -> tuple[bool, ...]:
    """Whether vectors are shuffled, for every run of an explainer."""
    return (False, True) if shuffled and not spec.no_vector else (False,)
