"""From the words after `train` to what it would do, or to a trained explainer's folder.

It learns from the training split of a suite and stops by the validation split; the test split is
never opened. Nothing here imports torch before a training begins.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...cache import Progress, silent
from ...errors import UsageError
from ...evaluation.explainers import named_target
from ...evaluation.plan import operations, operations_per_second, plan, size_of
from ...files import read_json, reading, write_json_atomic
from ...models.targets import find_name, home_folder
from ...prompts import PromptSpec
from ...records import GREEDY
from ...runs import provenance
from ...suite.select import tasks_of
from ...suite.suite import Suite
from ...task import Task
from ...team import team
from ..explainer.chat import Encoder
from ..explainer.declared import SETTINGS, THRESHOLDS
from ..injection.spec import Injection, injection_of
from .projection_plan import Projecting, plan_projection
from .spec import ExplainerSettings, TrainSpec, split_options

if TYPE_CHECKING:
    from .train import Training


Suites = Sequence[tuple[Task, Suite]]  # tasks to learn, with their suites
N_VALIDATION = 200  # Most validation queries of a task that a training stops by
SHARE = 0.1  # Most of the time that validation takes, unless evaluations are asked for
COST = 2  # A query that is learnt from takes at least as long as two that are only read
PASSES = 3  # Of learning from a query, at most: one forward, and one back that is twice as long


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainPlan:
    """What `train` would do."""

    path: str  # The explainer's folder
    queries: dict[str, int]  # To learn from, by task; questions about vectors come on top
    validation: dict[str, int]  # To stop by, by task
    steps: int  # Of the optimiser, about
    evaluations: int  # Times that the validation loss is measured
    prompt_tokens: int  # That are learnt from, estimated
    seconds: float | None  # Upper bound on this CPU; None if the base or device is not known


def train(base: str, output: Path | str, *, progress: Progress = silent, **options: Any) -> Path:
    """Fine-tune an explainer on the training split of a suite; resumed if it was killed.

    Options are fields of `TrainSpec`, such as `suite`, and of `ExplainerSettings`, such as
    `learning_rate`. Unless `evaluations` are given, a tenth of the time at most goes to validation.
    Returns `output`.
    """
    from .checkpoints import seal, sole_trainer
    from .train import train_explainer

    request, options = split_options(base, output, options)
    suites = tasks_of(request.suite, request.tasks)
    training = _planned(request, suites, options, progress)
    with sole_trainer(Path(output).absolute()):
        folder = train_explainer(training, progress)
        if training.settings.decoding == GREEDY:
            _add_thresholds(folder, request, suites, progress)
        if team().first:
            seal(folder)
    return folder


def _planned(
    request: TrainSpec, suites: Suites, options: Mapping[str, Any], progress: Progress
) -> Training:
    """Encode queries and settle how the explainer is trained."""
    from ..explainer.load import find_model, target_tokenizer
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
    tokenizer = load_tokenizer(folder, chat_template=request.chat_template)
    target = named_target(suites[0][1])
    name = None if target is None else target.name
    counts = target_tokenizer(name, settings.injection, progress)
    encoder = Encoder(tokenizer, use_vectors=not request.no_vector, target_tokenizer=counts)
    progress("encoding queries")
    lessons, validation = _lessons(request, settings, suites, encoder, few)
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    home = home_folder(request.base).is_dir()
    return Training(
        request=request,
        base=folder,
        base_name=str(folder.resolve()) if home else request.base,
        lessons=lessons,
        validation=validation,
        settings=settings,
        about=_about(request, suites, lessons, projecting),
        pad=end if pad is None else pad,
        project=projecting.make,
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


def _lessons(
    request: TrainSpec,
    settings: ExplainerSettings,
    suites: Suites,
    encoder: Encoder,
    few: Mapping[str, int],
) -> tuple[list[Any], list[Any]]:
    from .dataset import make_lessons, make_reading_lessons

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


def _add_thresholds(folder: Path, request: TrainSpec, suites: Suites, progress: Progress) -> None:
    """Add to `explainer.json` the thresholds of verdicts, if they are not there."""
    from ..explainer.decision import fit_threshold
    from ..explainer.load import load_local

    record = read_json(folder / SETTINGS)
    asked = [(task, suite) for task, suite in suites if task.openings]
    if THRESHOLDS in record or not asked or not team().first:
        return
    progress("finding thresholds of verdicts")
    name, seen = str(folder.resolve()), not request.no_vector
    explainer, _ = load_local(name, device=request.device, use_vectors=seen)
    found = {task.name: fit_threshold(explainer, task, suite) for task, suite in asked}
    thresholds = {name: value for name, value in found.items() if value is not None}
    write_json_atomic(folder / SETTINGS, {**record, THRESHOLDS: thresholds})


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
        **({} if request.chat_template is None else {"chat_template": request.chat_template}),
    }


def checks(n_seen: int, suites: Suites, evaluations: int | None) -> tuple[int, dict[str, int]]:
    """Return how often to validate, and on how many queries of each task.

    By default at most `SHARE` of the time of seeing `n_seen` queries, at least one query a task.
    """
    sizes = {task.name: len(suite.queries("validation")) for task, suite in suites}
    if evaluations is not None:
        return evaluations, {name: min(N_VALIDATION, size) for name, size in sizes.items()}
    budget = SHARE / (1 - SHARE) * COST * n_seen
    few = max(1, min(N_VALIDATION, int(budget / len(sizes))))
    counts = {name: min(few, size) for name, size in sizes.items()}
    most = ExplainerSettings().evaluations
    return max(1, min(most, int(budget / max(1, sum(counts.values()))))), counts


def n_train(request: TrainSpec, suite: Suite) -> int:
    """Return how many queries of a suite are learnt from."""
    return len(replace(suite, n_train=request.n_train).queries("train"))


def plan_training(base: str, output: Path | str, **options: Any) -> TrainPlan:
    """Say what `train` with the same arguments would do; loads and downloads nothing."""
    request, more = split_options(base, output, options)
    given = more.pop("evaluations", None)
    settings = ExplainerSettings(**more)
    find_name(base)  # first of all: an unknown base is refused
    size = size_of(base)
    suites = tasks_of(request.suite, request.tasks)
    queries = {task.name: n_train(request, suite) for task, suite in suites}
    n_seen = sum(queries.values()) * settings.epochs
    evaluations, validation = checks(n_seen, suites, given)
    tokens = settings.epochs * sum(
        plan(
            PromptSpec(
                task=task,
                suite=replace(suite, n_train=request.n_train),
                split="train",
                batch_size=settings.batch_size,
                no_vector=request.no_vector,
            )
        ).prompt_tokens
        for task, suite in suites
    )
    read = evaluations * sum(validation.values()) / max(1, n_seen)
    seconds = None
    if size is not None and request.device == "cpu":
        seconds = operations(*size, tokens) * (PASSES + read) / operations_per_second()
    return TrainPlan(
        path=str(output),
        queries=queries,
        validation=validation,
        steps=math.ceil(n_seen / (settings.batch_size * settings.accumulation)),
        evaluations=evaluations,
        prompt_tokens=tokens,
        seconds=seconds,
    )
