"""From the words after `train` to a trained explainer's folder.

Owns which queries are learnt from: the training split of a suite, and the validation split to stop
by. The test split is never opened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...cache import OnProgress, silent
from ...errors import UsageError
from ...evaluation.explainers import named_target
from ...files import read_json
from ...models.targets import home_folder
from ...runs import provenance
from ...suite.find import tasks_of
from .projection_start import OnAlign, Start, plan_projection

if TYPE_CHECKING:
    from ...suite.subset import Amount
    from ...suite.suite import Suite
    from ...task import Task
    from ..explainer.chat import Encoder
    from ..injection.spec import Injection, Injections
    from .dataset import Lesson
    from .spec import ExplainerSettings

PRECISIONS = ("auto", "float32", "bfloat16")
"""What can be computed in."""
N_VALIDATION = 200
"""Most validation queries of a task that a training stops by."""

OnStep = Callable[[int, int, float], None]
"""Told steps done, steps in all and the latest loss in nats."""


def train(
    base: str,
    output: Path,
    *,
    suite: str = "smollm2-135m",
    tasks: Sequence[str] = (),
    n_train: Amount | None = None,
    no_vector: bool = False,
    injection: Injections | None = None,
    projection: str = "none",
    align: Path | None = None,
    target: str | None = None,
    device: str = "cpu",
    seed: int = 0,
    precision: str = "auto",
    on_fetch: OnProgress = silent,
    on_align: OnAlign = lambda _done, _total: None,
    on_step: OnStep = lambda _done, _total, _loss: None,
    **settings: Any,
) -> Path:
    """Fine-tune an explainer on the training split of a suite; resumed if it was killed.

    Args:
        base: folder, hub id or target's name of the model to train.
        output: folder that gets the explainer; `run --model OUTPUT` runs it.
        suite: name or folder of a suite.
        tasks: tasks to learn, mixed; all of the suite if empty.
        n_train: training queries of each task, or below 1 the part of them, whole contrast
            groups; all if None.
        no_vector: leave vectors out, as a control.
        injection: how vectors enter, for every task or by task; the default where nothing is said.
        projection: `random` or `aligned` linear maps into the base model's width, trained with it;
            `input-lens` for the tokens that a direction responds to or that are nearest to a state;
            `none` for none.
        align: text file to align on, one text a line; what the target wrote if None.
        target: target to align with; the suite's own if None.
        device: a torch device.
        seed: decides draws, initial weights and order.
        precision: `float32`, `bfloat16`, or `auto`: bfloat16 where it is faster; a training that
            goes on keeps what it began with.
        on_fetch: told what is downloaded and prepared.
        on_align: told pairs of tokens that are read to align a projection.
        on_step: told how far training is.
        **settings: fields of `ExplainerSettings`, such as `learning_rate` or `reading`.

    Returns:
        `output`.

    Raises:
        UsageError: unknown name, an impossible setting, or the folder holds another training.
        CheckFailedError: the loss is not a finite number any more.
        MissingPartError: weights, device or disk space are missing.
        IntegrityError: a file is corrupt.
    """
    from ..explainer.chat import Encoder
    from ..explainer.load import find_model
    from ..models.pretrained import load_tokenizer
    from .spec import ExplainerSettings
    from .train import PLAN, train_explainer

    found = tasks_of(suite, tasks)
    folder = find_model(base, on_progress=on_fetch).directory
    ways = _ways(found, injection)
    projecting = plan_projection(
        Start(kind=projection, texts=align, target=target),
        [] if no_vector else found,
        folder,
        ways,
        seed=seed,
        device=device,
        on_fetch=on_fetch,
        on_align=on_align,
    )
    chosen = ExplainerSettings(
        seed=seed,
        injection=_stored(projecting.injections),
        bfloat16=_in_bfloat16(precision, output / PLAN, device),
        **settings,
    )
    tokenizer = load_tokenizer(folder)
    encoder = Encoder(
        tokenizer,
        use_vectors=not no_vector,
        target_tokenizer=_target_tokenizer(chosen.injection, found, on_fetch),
    )
    on_fetch("encoding queries", 0, None)
    lessons, validation = _lessons(found, encoder, chosen, n_train)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    name = str(folder.resolve()) if home_folder(base).is_dir() else base
    return train_explainer(
        folder,
        lessons,
        validation,
        chosen,
        output,
        base_name=name,
        about=_about(found, lessons, no_vector=no_vector, projection=projecting.about),
        pad=pad,
        device=device,
        project=projecting.make,
        on_step=on_step,
    )


def _ways(
    found: Sequence[tuple[Task, Suite]], injection: Injections | None
) -> dict[str, Injection]:
    """How the vectors of each task that has some enter."""
    from ..injection.spec import injection_of

    return {task.name: injection_of(task.name, injection) for task, _ in found if task.uses_vector}


def _stored(ways: Mapping[str, Injection]) -> Injections:
    """One injection where all tasks have the same."""
    from ..injection.spec import injection_of

    alike = set(ways.values())
    return dict(ways) if len(alike) > 1 else next(iter(alike), injection_of("", None))


def _target_tokenizer(
    injection: Injections, found: Sequence[tuple[Task, Suite]], on_fetch: OnProgress
) -> Any:
    """What counts positions in texts, where vectors enter at quoted tokens and it is known."""
    from ..explainer.load import find_model
    from ..injection.spec import all_injections
    from ..models.pretrained import load_tokenizer

    target = named_target(found[0][1])
    if target is None or not any(way.quotes for way in all_injections(injection)):
        return None
    return load_tokenizer(find_model(target.name, on_progress=on_fetch).directory)


def _lessons(
    found: Sequence[tuple[Task, Suite]],
    encoder: Encoder,
    settings: ExplainerSettings,
    n_train: Amount | None,
) -> tuple[list[Lesson], list[Lesson]]:
    """What is learnt from, and what training stops by."""
    from ..injection.spec import injection_of
    from .dataset import make_lessons
    from .reading import make_reading_lessons

    if settings.reading is not None and not any(task.reading for task, _ in found):
        raise UsageError(
            f"no questions about vectors belong to {', '.join(task.name for task, _ in found)}; "
            "train without reading"
        )
    lessons, validation, seed = [], [], settings.seed
    for task, suite in found:
        own = encoder.entering(injection_of(task.name, settings.injection))
        lessons += make_lessons(task, suite, own, n=n_train, seed=seed)
        if settings.reading is not None:
            lessons += make_reading_lessons(
                task, suite, own, settings.reading, n=n_train, seed=seed
            )
        n = min(N_VALIDATION, len(suite.queries("validation")))
        validation += make_lessons(task, suite, own, split="validation", n=n, seed=seed)
    if not lessons:
        raise UsageError(f"suite {found[0][1].name}: no training queries")
    return lessons, validation


def _in_bfloat16(precision: str, plan: Path, device: str) -> bool:
    if precision not in PRECISIONS:
        raise UsageError(f"precision {precision!r}: choose from {', '.join(PRECISIONS)}")
    if precision != "auto":
        return precision == "bfloat16"
    if plan.is_file():
        return bool(read_json(plan)["settings"]["bfloat16"])
    from .train import bfloat16_is_faster

    return bfloat16_is_faster(device)


def _about(
    found: Sequence[Any], lessons: Sequence[Any], *, no_vector: bool, projection: Mapping[str, Any]
) -> dict[str, Any]:
    """What `explainer.json` says of the data and the program."""
    return {
        "suites": [
            {
                "suite": suite.name,
                "task": task.name,
                "version": task.version,
                "data_sha256": suite.data_sha256,
                "prompt_sha256": task.prompt_sha256,
            }
            for task, suite in found
        ],
        "templates": sorted({lesson.template for lesson in lessons}),
        "vectors": not no_vector,
        "package": provenance.package()["version"],
        **({"projection": dict(projection)} if projection else {}),
    }
