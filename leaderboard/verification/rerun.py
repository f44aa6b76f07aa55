"""An explainer or judges asked again; nothing that a submission names is ever loaded."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...benchmark.cache import Progress
from ...benchmark.errors import CheckFailedError, UsageError
from ...benchmark.evaluation.run import run as run_again
from ...benchmark.evaluation.spec import RunSpec
from ...benchmark.evaluation.text_models import TEXT_KINDS
from ...benchmark.metrics.verdicts import normalise_content
from ...benchmark.records import Answer, Replied
from ...benchmark.registry import provided_tasks
from ...benchmark.runs.header import OWN_CODE
from ...benchmark.runs.run import MAX_ROWS, Run, read_replies
from ...benchmark.scoring.grade import about

SAMPLE = 20  # queries of each task that are asked again unless more are wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Recheck:
    """How an entry is checked."""

    # Queries of each task that are asked again, all if it has fewer; `SAMPLE` if None, or all
    # without the target.
    k: int | None = None
    # Who is asked; only a baseline can be left out, a submission never names what is loaded.
    model: str | None = None
    tasks: Sequence[str] = ()  # tasks to check; all of the entry if empty
    # Text that goes into the choice of queries; fresh if None. An entry could be changed
    # until a choice that depends on its bytes alone falls on the queries that were really
    # asked.
    nonce: str | None = None
    judgements: bool = False  # ask the frozen judges of descriptions instead of the explainer
    suite: str | None = None  # folder of suites, for suites that are not in the package
    without_target: bool = False  # ask in a process that holds no weights of the target
    fresh: str | None = None  # folder of a fresh suite, all of whose queries are asked instead
    device: str = "cpu"
    dtype: str | None = None  # dtype of the weights; the entry's own if None

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
    asked: int  # queries or judgements made again
    agreed: int  # how many came out the same: the same answer, or the same judgement
    identical: int  # how many raw replies have the same bytes; equal to `agreed` for judgements
    whole: bool  # whether these were all the entry has
    differing: tuple[str, ...]  # ids of queries that did not come out the same


def ask_again(
    run: Run,
    qids: Sequence[str],
    check: Recheck,
    progress: Progress,
) -> Agreement:
    """Ask an explainer some queries of a run again and compare answers."""
    task, suite = about(run, check.suite)
    with tempfile.TemporaryDirectory(prefix="introspect-bench-") as work:
        request = request_again(run, check, output=Path(work), queries=list(qids))
        (again,) = run_again(request, progress=progress)
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
    progress: Progress,
) -> Agreement:
    """Have a suite's judges judge some answers of a run again and compare what they find."""
    task, suite = about(run, check.suite)
    same = provided_tasks().judge_again(
        run.path,
        task,
        suite,
        qids=qids,
        device=check.device,
        progress=progress,
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
) -> RunSpec:
    """Return the request that repeats a run, as far as its header says what it was."""
    said, explainer = run.header.task, run.header.explainer
    return RunSpec(
        model=_model(run, check.model),
        suite=suite or check.suite or said.suite,
        tasks=[said.id],
        split=said.split,
        queries=queries,
        output=output,
        judge=judge,
        device=check.device,
        shots=explainer.shots,
        no_vector=explainer.no_vector,
        shuffle_vectors=explainer.shuffled_vectors,
        **_settings(run, check),
    )


def check_same_explainer(run: Run, again: Run) -> None:
    """Refuse an answer from somebody else."""
    old, new = run.header.explainer, again.header.explainer
    for name in ("weights_sha256", "kind"):
        if getattr(new, name) != getattr(old, name):
            raise CheckFailedError(
                f"{run.path}: {new.name} has another {name} than the entry; give --model the "
                "same weights"
            )
    if again.header.access != run.header.access:
        raise CheckFailedError(
            f"{run.path}: access is {run.header.access} in the entry and "
            f"{again.header.access} when {new.name} is asked"
        )


def _model(run: Run, given: str | None) -> str:
    """Return who is asked; what a submission says is loaded only if it is one of our baselines."""
    if given is not None:
        return given
    name = run.header.explainer.name
    if name.startswith("baseline/"):
        return name
    raise UsageError(
        f"{run.path}: a submission never chooses what is loaded; look at {name[:80]!r} and give it "
        "as --model"
    )


def _settings(run: Run, check: Recheck) -> dict[str, Any]:
    from ...benchmark.backends.injection.spec import Injection

    explainer, generation = run.header.explainer, run.header.generation
    kept = explainer.settings
    found: dict[str, Any] = {"seed": generation.seed, "batch_size": generation.batch_size}
    if explainer.kind == "custom":
        arguments = {name: value for name, value in kept.items() if name not in OWN_CODE}
        return found | {"dtype": check.dtype or "auto", "explainer_args": arguments}
    if explainer.kind in TEXT_KINDS:
        # what was left out of requests to an endpoint is left out again
        fields = {"temperature": None, **kept["request"]} if "request" in kept else {}
        return found | {
            "explainer_args": fields,
            "max_new_tokens": generation.max_new_tokens,
            "system": generation.system or None,
        }
    if explainer.kind != "local":
        return found | {"dtype": check.dtype or "auto", "n_train": kept.get("n_train")}
    return found | {
        **{name: str(kept[name]) if kept.get(name) else None for name in ("family", "decoding")},
        "system": generation.system or None,
        "dtype": check.dtype or kept.get("dtype", "auto"),
        "injection": Injection.from_json(kept["injection"]) if kept.get("injection") else None,
        "max_new_tokens": generation.max_new_tokens,
        "thinking": True if generation.thinking else None,
    }


def _same(old: Replied, new: Replied) -> bool:
    """Whether two replies say the same, or both say nothing that can be read."""
    if isinstance(old.answer, Answer) and isinstance(new.answer, Answer):
        contents = {normalise_content(one.content) for one in (old.answer, new.answer)}
        return old.answer.changed == new.answer.changed and len(contents) == 1
    return old.answer == new.answer
