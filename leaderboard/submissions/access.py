"""Access classes: what the harness says, what is declared or confirmed, what is not ranked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...benchmark.errors import UsageError
from ...benchmark.evaluation.explainers import harness_access
from ...benchmark.records import ORACLE, RANKED, RUNS_TARGET, UNDECLARED, WORDS
from ...benchmark.runs.header import Header, widest
from ...benchmark.runs.run import Run
from ...benchmark.scoring.grade import about
from ..verification.tiers import Standing
from .checks import AGAIN
from .entries import Entry
from .findings import Finding, failed_check
from .folders import ENTRY

CUSTOM_KIND = "custom"
"""Kind of a user's own code, which the harness knows nothing of."""
NOT_SAID = (
    "user code that does not say how it comes by its answers; `introspect-bench submit --access`"
)
NOT_CONFIRMED = (
    "user code that declares words: it is ranked after a re-run in a process that holds no weights "
    "of the target; `introspect-bench recheck --without-target`"
)
REFUTED = (
    "user code that declares words, but did not give its answers in a process that holds no "
    "weights of the target"
)
NOT_TOLD_APART = (
    "user code that declares runs-target: no check tells it from code that replays the "
    "intervention; declare replays to be ranked"
)
TOLD = "is told what no contestant has"
"""Why an entry is not ranked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryAccess:
    """How an entry comes by its answers, and what that is worth."""

    access: str
    """The widest class of its runs."""
    by_task: Mapping[str, str]
    """The class of each run."""
    basis: str
    """`set by the benchmark`, `declared`, or `declared and confirmed`."""
    unranked: str
    """Why its class does not rank it; empty if it does."""


def entry_access(
    fields: Mapping[str, Any],
    headers: Mapping[str, Header],
    standing: Standing | None = None,
) -> EntryAccess:
    """Return how an entry comes by its answers, from `entry.json`, headers by task and ledger."""
    if not is_custom(headers.values()):
        by_task = {task: header.access for task, header in headers.items()}
        access = widest(by_task.values())
        reason = "" if access in RANKED else TOLD if access == ORACLE else NOT_SAID
        return EntryAccess(
            access=access, by_task=by_task, basis="set by the benchmark", unranked=reason
        )
    access = str(fields["access"])
    confirmed = access == WORDS and standing is not None and standing.without_target is True
    return EntryAccess(
        access=access,
        by_task=dict.fromkeys(headers, access),
        basis="declared and confirmed" if confirmed else "declared",
        unranked="" if confirmed else _unconfirmed(access, standing),
    )


def submitted_access(declared: str | None, headers: Sequence[Header]) -> str:
    """Return the class an entry is submitted with: the widest of its runs, or what is declared."""
    if declared is None:
        return widest(header.access for header in headers)
    if not is_custom(headers):
        raise UsageError(
            "--access is for user code, py:module:Class; of all else the run files say it"
        )
    return declared


def _unconfirmed(access: str, standing: Standing | None) -> str:
    if access == WORDS:
        failed = standing is not None and standing.without_target is False
        return REFUTED if failed else NOT_CONFIRMED
    return {UNDECLARED: NOT_SAID, RUNS_TARGET: NOT_TOLD_APART, ORACLE: TOLD}.get(access, "")


def is_custom(headers: Iterable[Header]) -> bool:
    """Whether a run is a user's own code."""
    return any(header.explainer.kind == CUSTOM_KIND for header in headers)


def access_findings(entry: Entry, runs: Mapping[str, Run], suite: str | None) -> Iterator[Finding]:
    """Yield where runs or entry say another class than the harness gives, and why none ranks it."""
    for run in runs.values():
        queries = about(run, suite)[1].queries(run.header.task.split)
        said = run.header.access
        try:
            right = harness_access(run.header.explainer, queries)
        except UsageError as error:
            yield failed_check(run.path, 1, str(error), "a baseline of this package", AGAIN)
            continue
        if said != right:
            problem = f"field access is {said!r}, which is {right!r} by the explainer's settings"
            yield failed_check(run.path, 1, problem, repr(right), AGAIN)
    place = entry.folder / ENTRY
    own = entry_access(entry.fields, {task: run.header for task, run in runs.items()})
    if entry.fields["access"] != own.access:
        problem = f"field access is {entry.fields['access']!r}"
        expected = f"{own.access!r}, the widest class of its runs"
        yield failed_check(place, None, problem, expected, "let `submit` write it")
    elif own.unranked and own.access != ORACLE:
        problem = f"access is {own.access} ({own.basis}), so it is not ranked: {own.unranked}"
        fix = "it is shown without a rank until then"
        yield failed_check(place, None, problem, "a class that ranks", fix, level="warning")
