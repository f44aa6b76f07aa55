"""From a request to run files.

Owns the loop over a suite's tasks. It never opens the truth of the split it answers; scoring is a
step of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..cache import OnAnswers, OnProgress, silent
from ..errors import UsageError
from ..explainer import Explainer, ExplainerCard
from ..prompts import AUTO_BATCH_SIZE
from ..registry import BASELINE, find_baseline, provided_tasks
from ..runs.run import Run, read_run
from ..suite.find import tasks_of
from ..suite.suite import Suite
from ..task import Task
from .access import harness_access
from .check import check_run
from .custom import CUSTOM
from .explainers import Settings, asked_by, check_family, check_model, default_shots, load_explainer
from .predict import predict
from .spec import GENERATION, RunRequest

OnQueries = Callable[[str, int, int], None]
"""Told `(task, queries answered, queries in all)`."""


class RefusedTasksError(UsageError):
    """Some tasks of a request cannot be answered; the others are."""

    def __init__(self, message: str, runs: tuple[Run, ...]) -> None:
        """Say which tasks and why, and keep the runs that ended."""
        super().__init__(message)
        self.runs = runs
        """What the run files of the other tasks hold."""


def run(
    request: RunRequest,
    *,
    on_fetch: OnProgress = silent,
    on_queries: OnQueries | None = None,
    on_answers: OnAnswers | None = None,
) -> tuple[Run, ...]:
    """Answer the queries and return what the run files hold, one a task.

    Whatever can be refused without the explainer is refused before it is loaded.

    Raises:
        RefusedTasksError: the explainer cannot take a task's vectors; all other tasks are answered,
            and the error has their runs.
        UsageError: unknown name, or an impossible combination.
        MissingPartError: weights, hub, device or disk space are missing.
        IntegrityError: a file is corrupt, or the run file is another run's.
    """
    settings = Settings(
        device=request.device,
        dtype=request.dtype,
        batch_size=request.batch_size or AUTO_BATCH_SIZE,
        use_vectors=not request.no_vector,
        injection=request.injection,
        family=request.family,
        decoding=request.decoding,
        generation=request.generation,
        arguments=request.explainer_args,
    )
    tasks = answerable(request)
    for task, suite in tasks:
        check(request, task, suite)
    done, refused, loaded = [], [], None
    for task, suite in tasks:
        # baselines learn each task anew; anything else is loaded once
        if loaded is None or request.model.startswith(BASELINE):
            on_fetch(f"loading {request.model}", 0, None)
            loaded = load_explainer(
                request.model,
                settings,
                task=task,
                suite=suite,
                split=request.split,
                on_progress=on_fetch,
            )
        if task.uses_vector and not request.no_vector:
            try:
                check_width(loaded[0], suite)
            except UsageError as error:
                refused.append(f"{task.name}: {error}")
                continue
        asked = asked_by(task, *loaded)
        path = _predict(request, settings, task, suite, asked, on_queries)
        if suite.describes and request.judge:
            judge = provided_tasks().judge
            judge(
                path, task, suite, device=request.device, on_fetch=on_fetch, on_answers=on_answers
            )
        done.append(read_run(path))
    if refused:
        raise RefusedTasksError("; ".join(refused), tuple(done))
    return tuple(done)


def check(request: RunRequest, task: Task, suite: Suite) -> None:
    """Refuse a run that cannot be, as far as it shows without loading or fetching anything.

    Raises:
        UsageError: unknown name, or an impossible combination.
        MissingPartError: a folder that is not there, or holds no weights.
        IntegrityError: a file is corrupt, or the run file is another run's.
    """
    arguments = request.explainer_args
    if request.n_train is not None and not request.model.startswith(BASELINE):
        raise UsageError(f"{request.model}: a number of training queries is for baselines only")
    local = not request.model.startswith((BASELINE, CUSTOM))
    if not local and any(value is not None for value in request.generation.values()):
        raise UsageError(
            f"{request.model}: --max-new-tokens, --thinking and --system are for local language "
            "models only"
        )
    if request.family is not None:
        check_family(request.model, request.family)
    check_model(request.model, arguments, task=task, use_vectors=not request.no_vector)
    check_run(
        task=task,
        suite=suite,
        split=request.split,
        out=request.path(task, suite),
        batch_size=request.batch_size or AUTO_BATCH_SIZE,
        limit=request.limit,
        queries=request.queries,
        resume=request.resume,
        seed=request.seed,
        shots=n_shots(request),
        no_vector=request.no_vector,
        shuffled=request.shuffle_vectors,
        settings=arguments,
        generation={name: v for name, v in request.generation.items() if v is not None},
    )


def _predict(
    request: RunRequest,
    settings: Settings,
    task: Task,
    suite: Suite,
    loaded: tuple[Explainer, ExplainerCard],
    on_queries: OnQueries | None,
) -> Path:
    """Answer one task and return the run file."""
    explainer, card = loaded
    card = replace(card, access=harness_access(asdict(card), suite.queries(request.split)))
    if request.n_train is not None:
        learnt = len(suite.queries("train"))
        card = replace(card, settings={**card.settings, "n_train": learnt})
    return predict(
        task=task,
        suite=suite,
        split=request.split,
        explainer=explainer,
        card=card,
        out=request.path(task, suite),
        batch_size=settings.batch_size,
        limit=request.limit,
        queries=request.queries,
        resume=request.resume,
        seed=request.seed,
        shots=n_shots(request),
        no_vector=request.no_vector,
        shuffled=request.shuffle_vectors,
        generation=generation_of(card),
        selftest=suite.manifest["doctor"],
        # looking a reply up, or a user's own code, knows nothing of the device
        device=request.device if card.weights_sha256 else None,
        on_progress=_counter(task.name, on_queries),
    )


def generation_of(card: ExplainerCard) -> dict[str, Any]:
    """Return how replies of a local model are generated, as the run's header says it."""
    found = {name: card.settings.get(name) for name in GENERATION}
    return found | {"thinking": bool(found["thinking"])} if card.kind == "local" else {}


def answerable(request: RunRequest) -> list[tuple[Task, Suite]]:
    """Return the tasks of a request: those named, or all that the model is made for.

    Raises:
        UsageError: unknown suite, task or baseline.
        IntegrityError: a suite's manifest is broken.
    """
    found = [
        (task, replace(suite, n_train=request.n_train))
        for task, suite in tasks_of(request.suite, request.tasks)
    ]
    if request.tasks or not request.model.startswith(BASELINE):
        return found
    spec = find_baseline(request.model)
    return [(task, suite) for task, suite in found if task.name in spec.tasks]


def n_shots(request: RunRequest) -> int:
    """Return how many solved queries to show before each question."""
    return default_shots(request.model) if request.shots is None else request.shots


def check_width(explainer: Explainer, suite: Suite) -> None:
    """Ask an explainer that can tell whether it takes vectors of the target's width.

    Raises:
        UsageError: it does not.
    """
    check = getattr(explainer, "check_width", None)
    width = suite.manifest["target"].get("d_model")
    if check is not None and width is not None:
        check(width)


def _counter(task: str, on_queries: OnQueries | None) -> Callable[[int, int], None] | None:
    if on_queries is None:
        return None

    def count(done: int, total: int) -> None:
        on_queries(task, done, total)

    return count
