"""From the words after `train` to a trained explainer's folder.

It learns from the training split of a suite and stops by the validation split; the test split is
never opened. Nothing here imports torch before a training begins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from ...cache import Progress, silent
from ...errors import MissingPartError, UsageError
from ...evaluation.explainers import named_target
from ...files import canonical_json, read_json, sha256_bytes
from ...models.targets import home_folder, layers_and_width
from ...records import GREEDY
from ...registry import provided_tasks
from ...runs import provenance
from ...suite.select import tasks_of
from ...suite.suite import Suite
from ...task import Task
from ..explainer.chat import Encoder
from ..injection.spec import Injection, Injections, Maps, all_injections, injection_of, own_layers
from .estimate import checks, n_train
from .spec import LENS, ExplainerSettings, TrainSpec, split_options


@dataclass(frozen=True, slots=True, kw_only=True)
class Projecting:
    """A projection to be trained, or none."""

    injections: Mapping[str, Injection] = field(default_factory=dict)  # by task
    make: Callable[[Any], Any] | None = None  # from the loaded base model to its maps
    about: Mapping[str, Any] = field(default_factory=dict)  # for `explainer.json`


def plan_projection(
    request: TrainSpec,
    suites: Sequence[Suite],
    base: Path,
    injections: Mapping[str, Injection],
    progress: Progress,
) -> Projecting:
    """Say what `--projection` declares and how its maps are made; of models it loads none yet.

    Vectors of all suites go through the maps, but for the input lens, which is for those that enter
    as embeddings; where none does, but states enter otherwise, nothing is declared.
    """
    start, (_, width) = request.projection, layers_and_width(base)
    plain, mapped = _split(start, injections, suites)
    if others := _widths(plain, width) - {width}:
        raise UsageError(
            f"the vectors have width {min(others)} but {base.name} has width {width}; "
            "give `train --projection aligned`, or random"
        )
    if start == "none" or (plain and not mapped):
        return Projecting(injections=injections)
    fit, blocks = _fit(start, mapped), _blocks(mapped)
    maps = replace(_maps(mapped, blocks, width), nearest=start == LENS)
    ways = {suite.task: replace(injections[suite.task], projection=maps) for suite in mapped}
    injections, about = {**injections, **ways}, {"start": start}
    if start == "random":
        from ..injection.learned import random_projection

        drawn = partial(random_projection, maps, width, seed=request.seed)
        return Projecting(injections=injections, make=lambda _model: drawn(), about=about)
    place, name = _place(list(ways.values())), str(mapped[0].manifest["target"].get("name"))
    texts = provided_tasks().shipped_texts(name) if request.align is None else _lines(request.align)
    about["texts_sha256"] = sha256_bytes(canonical_json(texts).encode())

    def make(model: Any) -> Any:
        from ..explainer.load import find_model
        from ..injection.alignment import fitted_projection, load_reader

        folder = find_model(request.target or name, progress=progress).directory
        target = load_reader(folder, device=request.device)
        reader = load_reader(base, device=request.device, model=model)
        return fitted_projection(fit, place, blocks, target, reader, texts, progress=progress)

    return Projecting(injections=injections, make=make, about=about)


def _split(
    start: str, injections: Mapping[str, Injection], suites: Sequence[Suite]
) -> tuple[list[Suite], list[Suite]]:
    plain = [
        suite
        for suite in suites
        if start == "none" or (start == LENS and injections[suite.task].mode != "embedding")
    ]
    if start == LENS and len(plain) == len(suites) and any(suite.describes for suite in suites):
        raise UsageError(
            "the input lens shows directions as tokens: give injection mode 'embedding'"
        )
    return plain, [suite for suite in suites if suite not in plain]


def _fit(start: str, suites: Sequence[Suite]) -> str:
    """How maps are fitted: directions are pulled back, states are aligned."""
    kinds = {suite.describes for suite in suites}
    if start != LENS:
        return "aligned"
    if len(kinds) > 1:
        raise UsageError(
            "the input lens reads directions or states, not both; train on one task alone, or give "
            "--injection activation-patching=own-layers"
        )
    return "pulled-back" if kinds == {True} else "aligned"


def _place(mapped: Sequence[Injection]) -> Injection:
    # all modes of a query's own layers read the same residuals
    if len({"own" if way.own else (way.mode, way.layer) for way in mapped}) > 1:
        raise UsageError(
            "one set of maps leads to one place; let the vectors of all tasks that go through it "
            "enter alike, or give --projection random"
        )
    return mapped[0]


def _blocks(suites: Sequence[Suite]) -> list[tuple[int, int]]:
    """First and last layer of each map: the widest block that begins at each layer."""
    widest: dict[int, int] = {}
    for suite in suites:
        for query in [*suite.queries("train"), *suite.queries("validation")]:
            first, last = own_layers(query.fields)
            widest[first] = max(last, widest.get(first, last))
    return sorted(widest.items())


def _widths(suites: Sequence[Suite], width: int) -> set[int]:
    return {suite.manifest["target"].get("d_model", width) for suite in suites}


def _maps(suites: Sequence[Suite], blocks: Sequence[tuple[int, int]], width: int) -> Maps:
    widths, deepest = _widths(suites, width), max((last for _, last in blocks), default=0) + 1
    if len(widths) != 1:
        raise UsageError("a projection needs tasks with vectors, all of one width")
    return Maps(
        d_target=widths.pop(),
        n_layers=int(suites[0].manifest["target"].get("n_layers", deepest)),
        layers=tuple(first for first, _ in blocks),
    )


def _lines(path: Path | str) -> list[str]:
    try:
        lines = [line.strip() for line in Path(path).read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise MissingPartError(f"{path}: no text can be read from it: {error}") from error
    return [line for line in lines if line]


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
    from ..explainer.load import find_model
    from ..models.pretrained import load_tokenizer
    from .checkpoints import SEAL, is_first, seal, sole_trainer
    from .threshold import add_thresholds
    from .train import Training, train_explainer

    request, options = split_options(base, output, options)
    suites = tasks_of(request.suite, request.tasks)
    folder = find_model(base, progress=progress).directory
    ways = {t.name: injection_of(t.name, request.injection) for t, _ in suites if t.uses_vector}
    seen = [suite for task, suite in suites if task.uses_vector and not request.no_vector]
    projecting = plan_projection(request, seen, folder, ways, progress)
    given = options.pop("evaluations", None)
    settings = _settings(request, projecting.injections, options)
    n_seen = settings.epochs * sum(n_train(request, suite) for _, suite in suites)
    evaluations, few = checks(n_seen, suites, given)
    settings = replace(settings, evaluations=evaluations)
    tokenizer = load_tokenizer(folder)
    counts = _target_tokenizer(settings.injection, suites, progress)
    encoder = Encoder(tokenizer, use_vectors=not request.no_vector, target_tokenizer=counts)
    progress("encoding queries")
    lessons, validation = _lessons(request, settings, suites, encoder, few)
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
    with sole_trainer(Path(output).absolute()):
        folder = train_explainer(training, Path(output), progress)
        if settings.decoding == GREEDY:
            add_thresholds(folder, request, suites, progress)
        if is_first():
            seal(folder, folder / SEAL)
    return folder


def _settings(
    request: TrainSpec, injections: Mapping[str, Injection], options: Mapping[str, Any]
) -> ExplainerSettings:
    alike = set(injections.values()) or {injection_of("", None)}
    return ExplainerSettings(
        seed=request.seed,
        injection=dict(injections) if len(alike) > 1 else alike.pop(),
        bfloat16=_in_bfloat16(request),
        **options,
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
    if plan.is_file():
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
