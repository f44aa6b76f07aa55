"""An explainer or judges asked again; nothing that a submission names is ever loaded."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...benchmark.cache import OnAnswers, OnProgress
from ...benchmark.errors import CheckFailedError, IntegrityError, UsageError
from ...benchmark.evaluation.run import OnQueries
from ...benchmark.evaluation.run import run as run_again
from ...benchmark.evaluation.spec import RunRequest
from ...benchmark.metrics.verdicts import normalise_content
from ...benchmark.records import Answer, Replied
from ...benchmark.registry import provided_tasks
from ...benchmark.runs.replies import read_replies
from ...benchmark.runs.run import MAX_ROWS, Run
from ...benchmark.scoring.score import about

SAMPLE = 20
"""Queries of each task that are asked again unless more are wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recheck:
    """How an entry is checked."""

    k: int | None = None
    """Queries of each task that are asked again, all if it has fewer; `SAMPLE` if None, or all
    without the target."""
    model: str | None = None
    """Who is asked; only a baseline can be left out, a submission never names what is loaded."""
    tasks: Sequence[str] = ()
    """Tasks to check; all of the entry if empty."""
    nonce: str | None = None
    """Text that goes into the choice of queries; fresh if None. An entry could be changed until a
    choice that depends on its bytes alone falls on the queries that were really asked."""
    judgements: bool = False
    """Ask the frozen judges of descriptions instead of the explainer."""
    suite: str | None = None
    """Folder of suites, for suites that are not in the package."""
    without_target: bool = False
    """Ask in a process that holds no weights of the target."""
    fresh: str | None = None
    """Folder of a fresh suite, all of whose queries are asked instead."""
    device: str = "cpu"
    """A torch device."""
    dtype: str | None = None
    """Dtype of the weights; the entry's own if None."""

    @property
    def most(self) -> int:
        """The most queries of a task that are asked again."""
        if self.k is not None:
            return self.k
        return MAX_ROWS if self.without_target else SAMPLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What was found for one task."""

    task: str
    """Name of the task."""
    asked: int
    """Queries or judgements made again."""
    agreed: int
    """How many came out the same: the same answer, or the same judgement."""
    identical: int
    """How many raw replies have the same bytes; equal to `agreed` for judgements."""
    whole: bool
    """Whether these were all the entry has."""
    differing: tuple[str, ...]
    """Ids of queries that did not come out the same."""


def ask_again(
    run: Run,
    qids: Sequence[str],
    check: Recheck,
    on_fetch: OnProgress,
    on_queries: OnQueries | None,
) -> Agreement:
    """Ask an explainer some queries of a run again and compare answers."""
    task, suite = about(run, check.suite)
    with tempfile.TemporaryDirectory(prefix="introspect-bench-") as work:
        request = request_again(run, check, output=Path(work), queries=list(qids))
        (again,) = run_again(request, on_fetch=on_fetch, on_queries=on_queries)
        check_same_explainer(run, again)
        new = {one.query.id: one for one in read_replies(again, task, suite)}
    old = {one.query.id: one for one in read_replies(run, task, suite)}
    differing = tuple(qid for qid in qids if not _same(old[qid], new[qid]))
    return Agreement(
        task=task.name,
        asked=len(qids),
        agreed=len(qids) - len(differing),
        identical=sum(old[qid].raw == new[qid].raw for qid in qids),
        whole=len(qids) == len(run.rows),
        differing=differing,
    )


def judge_again(
    run: Run,
    qids: Sequence[str],
    check: Recheck,
    on_fetch: OnProgress,
    on_answers: OnAnswers | None,
) -> Agreement:
    """Have a suite's judges judge some answers of a run again and compare what they find."""
    task, suite = about(run, check.suite)
    same = provided_tasks().judge_again(
        run.path,
        task,
        suite,
        qids=qids,
        device=check.device,
        on_fetch=on_fetch,
        on_answers=on_answers,
    )
    agreed = sum(same.values())
    return Agreement(
        task=task.name,
        asked=len(same),
        agreed=agreed,
        identical=agreed,
        whole=len(qids) == len(run.rows),
        differing=tuple(sorted(qid for qid, equal in same.items() if not equal)),
    )


def request_again(
    run: Run,
    check: Recheck,
    *,
    output: Path,
    queries: Sequence[str] | None = None,
    suite: str | None = None,
    judge: bool = False,
) -> RunRequest:
    """Return the request that repeats a run, as far as its header says what it was."""
    said, explainer = run.header["task"], run.header["explainer"]
    return RunRequest(
        model=_model(run, check.model),
        suite=suite or check.suite or said["suite"],
        tasks=[said["id"]],
        split=said["split"],
        queries=queries,
        output=output,
        judge=judge,
        device=check.device,
        shots=explainer["shots"],
        no_vector=explainer["no_vector"],
        shuffle_vectors=explainer.get("shuffled_vectors", False),
        **_settings(run, check),
    )


def check_same_explainer(run: Run, again: Run) -> None:
    """Refuse an answer from somebody else."""
    old, new = run.header["explainer"], again.header["explainer"]
    for name in ("weights_sha256", "kind"):
        if new.get(name) != old.get(name):
            raise CheckFailedError(
                f"{run.path}: {new['name']} has another {name} than the entry; give --model the "
                "same weights"
            )
    if again.header["access"] != run.header["access"]:
        raise CheckFailedError(
            f"{run.path}: access is {run.header['access']} in the entry and "
            f"{again.header['access']} when {new['name']} is asked"
        )


def _model(run: Run, given: str | None) -> str:
    """Return who is asked; what a submission says is loaded only if it is one of our baselines."""
    if given is not None:
        return given
    name = str(run.header["explainer"]["name"])
    if name.startswith("baseline/"):
        return name
    raise UsageError(
        f"{run.path}: a submission never chooses what is loaded; look at {name[:80]!r} and give it "
        "as --model"
    )


def _settings(run: Run, check: Recheck) -> dict[str, Any]:
    from ...benchmark.backends.injection.spec import read_injection

    settings = run.header["explainer"].get("settings")
    kept: Mapping[str, Any] = settings if isinstance(settings, Mapping) else {}
    generation = run.header["generation"]
    for name in ("seed", "batch_size"):
        if type(generation.get(name)) is not int:
            raise IntegrityError(f"{run.path}:1: field generation.{name} is not a whole number")
    local = run.header["explainer"]["kind"] == "local"
    injection, family = kept.get("injection"), kept.get("family")
    return {
        "seed": generation["seed"],
        "batch_size": generation["batch_size"],
        "dtype": check.dtype or (kept.get("dtype", "auto") if local else "auto"),
        "injection": read_injection(injection) if local and injection else None,
        "family": str(family) if local and family else None,
        "decoding": str(kept["decoding"]) if local and kept.get("decoding") else None,
        "max_new_tokens": generation.get("max_new_tokens") if local else None,
        "thinking": True if local and generation.get("thinking") is True else None,
        "system": str(generation["system"]) if local and generation.get("system") else None,
        "n_train": None if local else kept.get("n_train"),
    }


def _same(old: Replied, new: Replied) -> bool:
    """Whether two replies say the same, or both say nothing that can be read."""
    if isinstance(old.answer, Answer) and isinstance(new.answer, Answer):
        contents = {normalise_content(one.content) for one in (old.answer, new.answer)}
        return old.answer.changed == new.answer.changed and len(contents) == 1
    return old.answer == new.answer
