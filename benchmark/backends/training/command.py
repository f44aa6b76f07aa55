"""From the words after `train` to a trained explainer's folder.

It learns from the training split of a suite and stops by the validation split; the test split is
never opened. Nothing here imports torch before a training begins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...cache import Progress, silent
from ...errors import UsageError
from ...evaluation.explainers import named_target
from ...files import read_json, reading
from ...models.targets import home_folder
from ...records import GREEDY
from ...runs import provenance
from ...suite.select import tasks_of
from ...suite.suite import Suite
from ...task import Task
from ...team import team
from ..explainer.chat import Encoder
from ..injection.spec import Injection, Injections, all_injections, injection_of
from .estimate import checks, n_train
from .projection_plan import Projecting, plan_projection
from .spec import ExplainerSettings, TrainSpec, split_options

if TYPE_CHECKING:
    from .train import Training


Suites = Sequence[tuple[Task, Suite]]  # tasks to learn, with their suites


def train(
    base: str,
    output: Path | str,
    *,
    progress: Progress = silent,
    **options: Any,
) -> Path:
    """Fine-tune an explainer on the training split of a suite; resumed if it was killed.

    Options are fields of `TrainSpec`, such as `suite`, and of `ExplainerSettings`, such as
    `learning_rate`. Unless `evaluations` are given, a tenth of the time at most goes to validation.
    Returns `output`.
    """
    from .checkpoints import SEAL, seal, sole_trainer
    from .threshold import add_thresholds
    from .train import train_explainer

    request, options = split_options(base, output, options)
    suites = tasks_of(request.suite, request.tasks)
    training = _planned(request, suites, options, progress)
    with sole_trainer(Path(output).absolute()):
        folder = train_explainer(training, Path(output), progress)
        if training.settings.decoding == GREEDY:
            add_thresholds(folder, request, suites, progress)
        if team().first:
            seal(folder, folder / SEAL)
    return folder


def _planned(
    request: TrainSpec, suites: Suites, options: Mapping[str, Any], progress: Progress
) -> Training:
    """Encode queries and settle how the explainer is trained."""
    from ..explainer.load import find_model
    from ..models.pretrained import load_tokenizer
    from .train import Training

    folder = find_model(request.base, progress=progress).directory
    ways = {t.name: injection_of(t.name, request.injection) for t, _ in suites if t.uses_vector}
    seen = [suite for task, suite in suites if task.uses_vector and not request.no_vector]
    projecting = plan_projection(request, seen, folder, ways, progress)
    settings = _settings(request, projecting.injections, options)
    n_seen = settings.epochs * sum(n_train(request, suite) for _, suite in suites)
    evaluations, few = checks(n_seen, suites, options.get("evaluations"))
    settings = replace(settings, evaluations=evaluations)
    tokenizer = load_tokenizer(folder)
    counts = _target_tokenizer(settings.injection, suites, progress)
    encoder = Encoder(tokenizer, use_vectors=not request.no_vector, target_tokenizer=counts)
    progress("encoding queries")
    lessons, validation = _lessons(request, settings, suites, encoder, few)
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    home = home_folder(request.base).is_dir()
    return Training(
        base=folder,
        base_name=str(folder.resolve()) if home else request.base,
        lessons=lessons,
        validation=validation,
        settings=settings,
        about=_about(request, suites, lessons, projecting),
        pad=end if pad is None else pad,
        project=projecting.make,
        device=request.device,
        report_to=request.report_to,
        overwrite=request.overwrite,
    )


def _settings(
    request: TrainSpec, injections: Mapping[str, Injection], options: Mapping[str, Any]
) -> ExplainerSettings:
    alike = set(injections.values()) or {injection_of("", None)}
    return ExplainerSettings(
        seed=request.seed,
        injection=dict(injections) if len(alike) > 1 else alike.pop(),
        bfloat16=_in_bfloat16(request),
        **{name: value for name, value in options.items() if name != "evaluations"},
    )


def _target_tokenizer(injection: Injections, suites: Suites, progress: Progress) -> Any:
    """What counts positions in texts, where vectors enter at quoted tokens and it is known."""
    from ..explainer.load import find_model
    from ..models.pretrained import load_tokenizer

    target = named_target(suites[0][1])
    if target is None or not any(way.quotes for way in all_injections(injection)):
        return None
    return load_tokenizer(find_model(target.name, progress=progress).directory)


def _lessons(
    request: TrainSpec,
    settings: ExplainerSettings,
    suites: Suites,
    encoder: Encoder,
    few: Mapping[str, int],
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
        n_read = few[task.name]
        validation += make_lessons(task, suite, own, split="validation", n=n_read, seed=seed)
    if not lessons:
        raise UsageError(f"suite {suites[0][1].name}: no training queries")
    return lessons, validation


def _in_bfloat16(request: TrainSpec) -> bool:
    """What is computed in; a training that goes on keeps what it began with."""
    from .train import PLAN, bfloat16_is_faster

    plan = Path(request.output) / PLAN
    if request.precision != "auto":
        return request.precision == "bfloat16"
    if plan.is_file() and not request.overwrite:
        with reading(plan, "the plan of a training"):
            return bool(read_json(plan)["settings"]["bfloat16"])
    return bfloat16_is_faster(request.device)


def _about(
    request: TrainSpec, suites: Suites, lessons: Sequence[Any], projecting: Projecting
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
