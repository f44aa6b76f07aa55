"""From the words after `--model` to whatever answers queries.

Owns the forms: `baseline/NAME`, `reference/NAME`, `py:module:Class`, and everything else as a local
language model (folder, hub id, named target). Nothing heavy is imported before it is needed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ..backends.explainer.families import find_family
from ..backends.injection.spec import Injections
from ..cache import OnProgress
from ..errors import UsageError
from ..explainer import Explainer, ExplainerCard
from ..models.fetch import prepare_target
from ..models.targets import TARGETS, TargetSpec, find_name, home_folder
from ..records import COMPARED, GREEDY, WHOLE
from ..registry import BASELINE, REFERENCE, find_baseline, provided_baselines
from ..suite.suite import Suite
from ..task import Task
from .custom import CUSTOM, check_custom, load_custom


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How an explainer is loaded, from the command line's options."""

    device: str
    """A torch device."""
    dtype: str
    """Dtype of its weights, or `auto`."""
    batch_size: int
    """Prompts decoded together."""
    use_vectors: bool
    """Whether prompts carry their vectors."""
    injection: Injections | None
    """How vectors enter; for tasks of which it says nothing, as the explainer declares, or the
    default."""
    decoding: str | None
    """How replies are chosen; None for what the checkpoint says, or greedy."""
    family: str | None
    """Whose convention prompts follow; None for what the checkpoint says, or the benchmark's."""
    generation: Mapping[str, Any]
    """How a local model's replies are generated: `max_new_tokens`, `thinking`, `system`."""
    arguments: Mapping[str, Any]
    """Arguments of a `py:` class."""


def default_shots(model: str) -> int:
    """Return how many solved queries a model's prompts show unless the user says otherwise."""
    return find_baseline(model).shots if model.startswith(BASELINE) else 0


def check_model(model: str, arguments: Mapping[str, Any], *, task: Task, use_vectors: bool) -> None:
    """Refuse a model that cannot be loaded, by its name alone; loads and downloads nothing.

    Args:
        model: what the user typed.
        arguments: arguments of a `py:` class.
        task: the task it will answer.
        use_vectors: whether prompts carry their vectors.

    Raises:
        UsageError: unknown name, a task it cannot answer, or arguments that no class takes.
        MissingPartError: a folder that is not there, or holds no safetensors.
    """
    if model.startswith(CUSTOM):
        check_custom(model)
        return
    if arguments:
        raise UsageError("explainer arguments are for py:module:Class models only")
    if model.startswith(BASELINE):
        name = model.removeprefix(BASELINE)
        provided_baselines().check_baseline(name, task, use_vectors=use_vectors)
    elif model.startswith(REFERENCE):
        provided_baselines().reference_folder(model.removeprefix(REFERENCE))
    else:
        find_name(model)


def check_family(model: str, family: str) -> None:
    """Refuse a family that is not known, or that the model cannot be of.

    Raises:
        UsageError: one of both.
    """
    find_family(family.partition(":")[0])
    if model.startswith((BASELINE, CUSTOM)):
        raise UsageError(f"{model}: families are for local language models only")


def load_explainer(
    model: str,
    settings: Settings,
    *,
    task: Task,
    suite: Suite,
    split: str,
    on_progress: OnProgress,
) -> tuple[Explainer, ExplainerCard]:
    """Load or learn an explainer that `check_model` found nothing wrong with.

    Args:
        model: what the user typed.
        settings: how.
        task: the task it will answer.
        suite: the suite; a baseline opens of it only what it says it needs.
        split: the split it will answer.
        on_progress: told what is fetched.

    Raises:
        UsageError: unknown name, or an impossible combination.
        MissingPartError: weights, hub or device are missing.
        IntegrityError: a file is not what it should be.
    """
    if model.startswith(CUSTOM):
        return load_custom(model, settings.arguments)
    if not model.startswith(BASELINE):
        return _load_local(model, settings, task, named_target(suite), on_progress)
    name = model.removeprefix(BASELINE)
    target = named_target(suite)
    if target is not None and "target-model" in find_baseline(name).needs:
        prepare_target(target, on_progress=on_progress)
    return provided_baselines().make_baseline(
        name,
        task=task,
        suite=suite,
        split=split,
        device=settings.device,
        dtype=settings.dtype,
        batch_size=settings.batch_size,
        use_vectors=settings.use_vectors,
        injection=settings.injection,
        on_progress=on_progress,
    )


def named_target(suite: Suite) -> TargetSpec | None:
    """Return the target that a suite is about, if the package knows it by its name."""
    name = suite.manifest["target"].get("name")
    return next((spec for spec in TARGETS if spec.name == name), None)


def _load_local(
    model: str,
    settings: Settings,
    task: Task,
    target: TargetSpec | None,
    on_progress: OnProgress,
) -> tuple[Explainer, ExplainerCard]:
    from ..backends.explainer.load import load_local

    shipped = model.startswith(REFERENCE)
    where = (
        str(provided_baselines().reference_folder(model.removeprefix(REFERENCE)))
        if shipped
        else model
    )
    explainer, card = load_local(
        where,
        device=settings.device,
        dtype=settings.dtype,
        batch_size=settings.batch_size,
        use_vectors=settings.use_vectors,
        injection=settings.injection,
        task=task.name,
        family=settings.family,
        decoding=settings.decoding,
        target=None if target is None else target.name,
        **settings.generation,
        on_progress=on_progress,
    )
    folder = home_folder(model)
    if shipped:
        card = dataclasses.replace(card, name=model)
    elif folder.is_dir():
        # a run file is published; where a folder lies on this machine is nobody's business
        card = dataclasses.replace(card, name=folder.resolve().name)
    return explainer, card


def asked_by(
    task: Task, explainer: Explainer, card: ExplainerCard
) -> tuple[Explainer, ExplainerCard]:
    """A loaded explainer as one task asks it.

    Vectors enter as is said of the task. Decoding `compared` reads verdicts off two replies where a
    task has vectors and verdicts. Where there is nothing to compare it is `whole-reply` for a task
    with verdicts, else `greedy`.
    """
    if card.kind != "local":
        return explainer, card
    from ..backends.explainer.local import LocalExplainer
    from ..backends.explainer.two_pass import Compared

    assert isinstance(explainer, LocalExplainer)
    explainer = explainer.for_task(task.name)
    told = {**card.settings, "injection": explainer.settings()["injection"]}
    card = dataclasses.replace(card, settings=told)
    if card.settings.get("decoding") != COMPARED:
        return explainer, card
    if task.uses_vector and task.openings:
        return Compared(explainer, task), card
    decoding = WHOLE if task.openings else GREEDY
    settings = {**card.settings, "decoding": decoding}
    return explainer.decoded(decoding), dataclasses.replace(card, settings=settings)
