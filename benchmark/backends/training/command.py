"""From the words after `train` to a trained explainer's folder.

It learns from the training split of a suite and stops by the validation split; the test split is
never opened. Nothing here imports torch before a training begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from ...cache import OnProgress, silent
from ...errors import UsageError
from ...evaluation.explainers import named_target
from ...files import read_json
from ...models.targets import home_folder
from ...runs import provenance
from ...suite.find import tasks_of
from ...suite.suite import Suite
from ...task import Task
from ..explainer.chat import Encoder
from ..injection.spec import Injections, all_injections, injection_of
from .projection_start import OnAlign, Projecting, plan_projection
from .spec import PRECISIONS, ExplainerSettings, OnStep, TrainRequest

N_VALIDATION = 200  # most validation queries of a task that a training stops by

Suites = Sequence[tuple[Task, Suite]]  # tasks to learn, with their suites


def train(
    base: str,
    output: Path,
    *,
    on_fetch: OnProgress = silent,
    on_align: OnAlign = lambda _done, _total: None,
    on_step: OnStep = lambda _done, _total, _loss: None,
    **options: Any,
) -> Path:
    """Fine-tune an explainer on the training split of a suite; resumed if it was killed.

    Options are fields of `TrainRequest`, such as `suite`, and of `ExplainerSettings`, such as
    `learning_rate`. Returns `output`.
    """
    from ..explainer.load import find_model
    from ..models.pretrained import load_tokenizer
    from .train import Training, train_explainer

    asked = {field.name for field in fields(TrainRequest)} & set(options)
    request = TrainRequest(base=base, output=output, **{name: options.pop(name) for name in asked})
    suites = tasks_of(request.suite, request.tasks)
    folder = find_model(base, on_progress=on_fetch).directory
    with_vectors = [(task, suite) for task, suite in suites if task.uses_vector]
    ways = {task.name: injection_of(task.name, request.injection) for task, _ in with_vectors}
    seen = [] if request.no_vector else [suite for _, suite in with_vectors]
    projecting = plan_projection(request, seen, folder, ways, on_fetch, on_align)
    alike = set(projecting.injections.values()) or {injection_of("", None)}
    settings = ExplainerSettings(
        seed=request.seed,
        injection=dict(projecting.injections) if len(alike) > 1 else alike.pop(),
        bfloat16=_in_bfloat16(request),
        **options,
    )
    tokenizer = load_tokenizer(folder)
    counts = _target_tokenizer(settings.injection, suites, on_fetch)
    encoder = Encoder(tokenizer, use_vectors=not request.no_vector, target_tokenizer=counts)
    on_fetch("encoding queries", 0, None)
    lessons, validation = _lessons(request, settings, suites, encoder)
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    training = Training(
        base=folder,
        base_name=str(folder.resolve()) if home_folder(base).is_dir() else base,
        lessons=lessons,
        validation=validation,
        settings=settings,
        about=_about(request, suites, lessons, projecting),
        pad=end if pad is None else pad,
        project=projecting.make,
        device=request.device,
    )
    return train_explainer(training, output, on_step)


def _target_tokenizer(injection: Injections, suites: Suites, on_fetch: OnProgress) -> Any:
    """What counts positions in texts, where vectors enter at quoted tokens and it is known."""
    from ..explainer.load import find_model
    from ..models.pretrained import load_tokenizer

    target = named_target(suites[0][1])
    if target is None or not any(way.quotes for way in all_injections(injection)):
        return None
    return load_tokenizer(find_model(target.name, on_progress=on_fetch).directory)


def _lessons(
    request: TrainRequest, settings: ExplainerSettings, suites: Suites, encoder: Encoder
) -> tuple[list[Any], list[Any]]:
    from .dataset import make_lessons
    from .reading import make_reading_lessons

    reading, n, seed = settings.reading, request.n_train, settings.seed
    if reading is not None and not any(task.reading for task, _ in suites):
        raise UsageError(
            f"no questions about vectors belong to {', '.join(task.name for task, _ in suites)}; "
            "train without reading"
        )
    lessons, validation = [], []
    for task, suite in suites:
        own = encoder.entering(injection_of(task.name, settings.injection))
        lessons += make_lessons(task, suite, own, n=n, seed=seed)
        if reading is not None:
            lessons += make_reading_lessons(task, suite, own, reading, n=n, seed=seed)
        few = min(N_VALIDATION, len(suite.queries("validation")))
        validation += make_lessons(task, suite, own, split="validation", n=few, seed=seed)
    if not lessons:
        raise UsageError(f"suite {suites[0][1].name}: no training queries")
    return lessons, validation


def _in_bfloat16(request: TrainRequest) -> bool:
    """What is computed in; a training that goes on keeps what it began with."""
    from .train import PLAN, bfloat16_is_faster

    precision, plan = request.precision, request.output / PLAN
    if precision not in PRECISIONS:
        raise UsageError(f"precision {precision!r}: choose from {', '.join(PRECISIONS)}")
    if precision != "auto":
        return precision == "bfloat16"
    if plan.is_file():
        return bool(read_json(plan)["settings"]["bfloat16"])
    return bfloat16_is_faster(request.device)


def _about(
    request: TrainRequest, suites: Suites, lessons: Sequence[Any], projecting: Projecting
) -> dict[str, Any]:
    return {
        "suites": [
            {
                "suite": suite.name,
                "task": task.name,
                "version": task.version,
                "data_sha256": suite.data_sha256,
                "prompt_sha256": task.prompt_sha256,
            }
            for task, suite in suites
        ],
        "templates": sorted({lesson.template for lesson in lessons}),
        "vectors": not request.no_vector,
        "package": provenance.package()["version"],
        **({"projection": dict(projecting.about)} if projecting.about else {}),
    }
