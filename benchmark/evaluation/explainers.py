"""From the words after `--model` to whatever answers queries; heavy imports come late."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from ..cache import OnProgress
from ..errors import UsageError
from ..explainer import Explainer, ExplainerCard
from ..models.fetch import prepare_target
from ..models.targets import TARGETS, TargetSpec, find_name, home_folder
from ..prompts import AUTO_BATCH_SIZE
from ..records import COMPARED, GREEDY, ORACLE, UNDECLARED, WHOLE, Query
from ..registry import BASELINE, REFERENCE, find_baseline, provided_baselines
from ..runs.header import local_access, widest
from ..suite.suite import Suite
from ..task import Task
from .custom import CUSTOM, check_custom, load_custom
from .lm_eval_models import LM_EVAL, LM_EVAL_KIND, check_lm_eval
from .spec import RunRequest


def default_shots(model: str) -> int:
    """Return how many solved queries a model's prompts show by default."""
    return find_baseline(model).shots if model.startswith(BASELINE) else 0


def check_model(request: RunRequest, task: Task) -> None:
    """Refuse a model that cannot be loaded, by its name alone; loads and downloads nothing."""
    model = request.model
    if model.startswith(CUSTOM):
        check_custom(model)
        return
    if request.explainer_args:
        raise UsageError("explainer arguments are for py:module:Class models only")
    if model.startswith(LM_EVAL):
        check_lm_eval(request, task)
    elif model.startswith(BASELINE):
        name = model.removeprefix(BASELINE)
        provided_baselines().check_baseline(name, task, use_vectors=not request.no_vector)
    elif model.startswith(REFERENCE):
        provided_baselines().reference_folder(model.removeprefix(REFERENCE))
    else:
        find_name(model)


def load_explainer(
    request: RunRequest, task: Task, suite: Suite, on_progress: OnProgress
) -> tuple[Explainer, ExplainerCard]:
    """Load or train an explainer that `check_model` found nothing wrong with."""
    if request.model.startswith(CUSTOM):
        return load_custom(request.model, request.explainer_args)
    if request.model.startswith(LM_EVAL):
        from ..backends.explainer.through_lm_eval import load_lm_eval

        return load_lm_eval(
            request.model,
            device=request.device,
            batch_size=request.batch_size,
            max_new_tokens=request.max_new_tokens,
            system=request.system,
        )
    target = named_target(suite)
    if not request.model.startswith(BASELINE):
        return _load_local(request, task, target, on_progress)
    name = request.model.removeprefix(BASELINE)
    if target is not None and "target-model" in find_baseline(name).needs:
        prepare_target(target, on_progress=on_progress)
    return provided_baselines().make_baseline(
        name,
        task=task,
        suite=suite,
        split=request.split,
        device=request.device,
        dtype=request.dtype,
        batch_size=request.batch_size or AUTO_BATCH_SIZE,
        use_vectors=not request.no_vector,
        injection=request.injection,
        on_progress=on_progress,
    )


def named_target(suite: Suite) -> TargetSpec | None:
    """Return the target that a suite is about, if the package knows it by its name."""
    name = suite.manifest["target"].get("name")
    return next((spec for spec in TARGETS if spec.name == name), None)


def _load_local(
    request: RunRequest, task: Task, target: TargetSpec | None, on_progress: OnProgress
) -> tuple[Explainer, ExplainerCard]:
    from ..backends.explainer.load import load_local

    model = where = request.model
    shipped = model.startswith(REFERENCE)
    if shipped:
        where = str(provided_baselines().reference_folder(model.removeprefix(REFERENCE)))
    explainer, card = load_local(
        where,
        device=request.device,
        dtype=request.dtype,
        batch_size=request.batch_size or AUTO_BATCH_SIZE,
        use_vectors=not request.no_vector,
        injection=request.injection,
        task=task.name,
        family=request.family,
        decoding=request.decoding,
        target=None if target is None else target.name,
        **request.generation,
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
    """Return a loaded explainer, and its card, as one task asks it.

    Vectors enter as is said of the task. Decoding `compared` takes verdicts from two replies; where
    a task has no vectors it is `whole-reply` for a task with verdicts, else `greedy`.
    """
    if card.kind != "local":
        return explainer, card
    from ..backends.explainer.local import LocalExplainer
    from ..backends.explainer.two_pass import Compared

    assert isinstance(explainer, LocalExplainer)
    explainer = explainer.for_task(task.name)
    settings = {**card.settings, "injection": explainer.settings()["injection"]}
    card = dataclasses.replace(card, settings=settings)
    if card.settings.get("decoding") != COMPARED:
        return explainer, card
    if task.uses_vector and task.openings:
        return Compared(explainer, task), card
    decoding = WHOLE if task.openings else GREEDY
    settings = settings | {"decoding": decoding}
    return explainer.decoded(decoding), dataclasses.replace(card, settings=settings)


def harness_access(explainer: Mapping[str, Any], queries: Iterable[Query]) -> str:
    """Return the access class of a run; a single query may stand for all of a task."""
    name, kind, settings = (explainer.get(key) for key in ("name", "kind", "settings"))
    known = settings if isinstance(settings, Mapping) else {}
    if kind not in ("local", LM_EVAL_KIND, "baseline", ORACLE) or known.get("own_code"):
        return UNDECLARED
    own = local_access(known, queries)
    if kind in ("local", LM_EVAL_KIND):
        return own
    return widest((own, find_baseline(str(name)).access))
