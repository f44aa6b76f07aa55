"""From a request to run files, task by task; never opens the truth of the split it answers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from ..backends.explainer.families import find_family
from ..cache import Progress, silent
from ..errors import UsageError
from ..explainer import Explainer, ExplainerCard, Priced
from ..models.targets import find_name
from ..prompts import AUTO_BATCH_SIZE, PromptSpec, render_all
from ..registry import BASELINE, find_baseline, provided_tasks
from ..runs.run import Run, read_run
from ..runs.writer import check_run_file
from ..suite.select import tasks_of
from ..suite.suite import Suite
from ..task import Task
from ..team import team
from .explainers import (
    CUSTOM,
    asked_by,
    check_model,
    harness_access,
    load_explainer,
)
from .predict import make_header, predict
from .spec import PAPER, SPREAD, ZERO_SHOT, RunSpec
from .text_models import TEXT_MODELS


class RefusedTasksError(UsageError):
    """Some tasks of a request cannot be answered; the others are."""

    def __init__(self, message: str, runs: tuple[Run, ...]) -> None:
        """Say which tasks and why, and keep the runs that ended."""
        super().__init__(message)
        self.runs = runs  # What the run files of the other tasks hold


def run(
    request: RunSpec,
    *,
    progress: Progress = silent,
) -> tuple[Run, ...]:
    """Answer the queries and return what the run files hold, one a task.

    Whatever can be refused without the explainer is refused before it is loaded. RefusedTasksError:
    it cannot take a task's vectors; the other tasks are answered, and the error has their runs.
    Of several processes (`torchrun`) each answers a part, and the first alone writes and returns.
    """
    tasks = answerable(request)
    for task, suite in tasks:
        check(request, task, suite)
    if request.device == "auto" or team().size > 1:
        from ..backends.models.devices import resolve_device

        request = replace(request, device=resolve_device(request.device))
    with ExitStack() as stack:
        return _run_all(request, tasks, stack, progress)


def _run_all(
    request: RunSpec, tasks: Sequence[tuple[Task, Suite]], stack: ExitStack, progress: Progress
) -> tuple[Run, ...]:
    done, refused, loaded = [], [], None
    for task, suite in tasks:
        # baselines learn each task anew; anything else is loaded once
        if loaded is None or request.model.startswith(BASELINE):
            progress(f"loading {request.model}")
            loaded = load_explainer(request, task, suite, progress)
            if isinstance(loaded[0], Priced):
                stack.callback(loaded[0].close)
        asked = asked_by(request, task, *loaded)
        if task.uses_vector and not request.no_vector:
            try:
                check_width(asked[0], suite)
            except UsageError as error:
                refused.append(f"{task.name}: {error}")
                continue
        new = request.resume == "overwrite" or not team().first
        before = 0 if new else _n_rows(request.path(task, suite))
        chat = getattr(getattr(asked[0], "encoder", None), "chat", True)
        path = _predict(request, prompt_spec(request, task, suite, chat=chat), asked, progress)
        if suite.has_windows and request.judge:
            judge = provided_tasks().judge
            judge(path, task, suite, device=request.device, progress=progress)
        if team().first:
            found = read_run(path)
            done.append(replace(found, asked=len(found.rows) - before))
    if refused:
        raise RefusedTasksError("; ".join(refused), tuple(done))
    return tuple(done)


def run_paths(request: RunSpec) -> list[Path]:
    """Return the run files of a request, whether they are there or not."""
    return [request.path(task, suite) for task, suite in answerable(request)]


def _n_rows(path: Path) -> int:
    return len(read_run(path).rows) if path.is_file() and path.stat().st_size else 0


def check(request: RunSpec, task: Task, suite: Suite) -> None:
    """Refuse a run that cannot be, as far as it shows without loading or fetching anything."""
    _check_options(request)
    check_model(request, task)
    spec = prompt_spec(request, task, suite)
    selected = spec.select()
    if request.protocol is not None:
        render_all(spec.task, selected)  # the paper has no words for some queries
    card = ExplainerCard(name="", kind="", settings=request.explainer_args)
    chosen = {name: value for name, value in request.generation.items() if value is not None}
    header = make_header(spec, selected, card, generation=chosen)
    check_run_file(request.path(task, suite), header.to_json(), resume=request.resume)


def _check_options(request: RunSpec) -> None:
    """Refuse options that are for other kinds of models than the one that is named."""
    baseline = request.model.startswith(BASELINE)
    text = request.model.startswith(TEXT_MODELS)
    local = not baseline and not request.model.startswith(CUSTOM)
    spread = any(getattr(request, name) is not None for name in SPREAD)
    generated = any(value is not None for value in request.generation.values())
    if request.family is not None:
        find_family(request.family.partition(":")[0])
    wrong = {
        "a number of training queries is for baselines only": (
            request.n_train is not None and not baseline
        ),
        "--max-new-tokens, --thinking and --system are for local language models only": (
            generated and not local
        ),
        "--device-map, --engine and --quantization are for local language models only": (
            spread and (text or not local)
        ),
        "a base is for adapters of local models only": request.base is not None and not local,
        "families are for local language models only": request.family is not None and not local,
        "the paper's protocol is for local language models and your own code": (
            request.protocol is not None and (baseline or text)
        ),
    }
    if said := next((sentence for sentence, there in wrong.items() if there), None):
        raise UsageError(f"{request.model}: {said}")
    if request.base is not None:
        find_name(request.base)
    if request.protocol is not None and request.family not in (None, PAPER):
        raise UsageError(f"family {request.family} is not that of the paper's protocol")


def _predict(
    request: RunSpec,
    spec: PromptSpec,
    loaded: tuple[Explainer, ExplainerCard],
    progress: Progress,
) -> Path:
    """Answer one task and return the run file."""
    explainer, card = loaded
    task, suite = spec.task, spec.suite
    card = replace(card, access=harness_access(card, suite.queries(spec.split)))
    if request.n_train is not None:
        n_train = len(suite.queries("train"))
        card = replace(card, settings={**card.settings, "n_train": n_train})
    return predict(
        spec,
        explainer,
        card,
        request.path(task, suite),
        resume=request.resume,
        # looking a reply up, or a user's own code, knows nothing of the device
        device=request.device if card.weights_sha256 else None,
        progress=progress,
    )


def prompt_spec(request: RunSpec, task: Task, suite: Suite, *, chat: bool = True) -> PromptSpec:
    """Return what the prompts of one task depend on; `chat`: whether there is a chat template."""
    if request.protocol is not None:
        zero_shot = request.protocol == ZERO_SHOT
        task = provided_tasks().paper_task(task, chat=chat, zero_shot=zero_shot)
    shots = request.shots
    if shots is None:
        shots = find_baseline(request.model).shots if request.model.startswith(BASELINE) else 0
    return PromptSpec(
        task=task,
        protocol=request.protocol,
        suite=suite,
        split=request.split,
        batch_size=request.batch_size or AUTO_BATCH_SIZE,
        limit=request.limit,
        queries=request.queries,
        seed=request.seed,
        shots=shots,
        no_vector=request.no_vector,
        shuffled=request.shuffle_vectors,
    )


def answerable(request: RunSpec) -> list[tuple[Task, Suite]]:
    """Return the tasks of a request: those named, or all that the model is made for."""
    found = [
        (task, replace(suite, n_train=request.n_train))
        for task, suite in tasks_of(request.suite, request.tasks)
    ]
    if request.tasks or not request.model.startswith(BASELINE):
        return found
    spec = find_baseline(request.model)
    return [(task, suite) for task, suite in found if task.name in spec.tasks]


def check_width(explainer: Explainer, suite: Suite) -> None:
    """Ask an explainer that can tell whether it takes vectors of the target's width."""
    check = getattr(explainer, "check_width", None)
    width = suite.manifest["target"].get("d_model")
    if check is not None and width is not None:
        check(width)
