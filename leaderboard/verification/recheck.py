"""Entries checked by asking again: some queries, all of them, or those of a fresh suite.

Owns which queries are asked, and what is written into the ledger.
A file of replies cannot show that a model gave them; asking the model again can.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from ...benchmark._version import __version__
from ...benchmark.cache import OnAnswers, OnProgress, silent
from ...benchmark.errors import CheckFailedError, UsageError
from ...benchmark.evaluation.run import OnQueries
from ...benchmark.runs.run import Run, read_run
from ..submissions.entries import Entry, entry_sha256, read_entry
from .fresh import ask_fresh
from .ledger import append_line
from .rerun import Agreement, Recheck, ask_again, judge_again
from .tiers import AGREEMENT, WITHOUT_TARGET
from .without_target import ask_without_target

NONCE_BYTES = 8
"""Size of a fresh nonce."""


def choose(qids: Sequence[str], *, k: int, entry_sha: str, nonce: str) -> list[str]:
    """Return the `k` queries that come first by `sha256(entry hash : nonce : query id)`."""
    return sorted(qids, key=lambda qid: sha256(f"{entry_sha}:{nonce}:{qid}".encode()).hexdigest())[
        :k
    ]


def recheck(
    entry: Path | str,
    check: Recheck,
    *,
    ledger: Path | None = None,
    by: str = "maintainer",
    on_fetch: OnProgress = silent,
    on_queries: OnQueries | None = None,
    on_answers: OnAnswers | None = None,
) -> dict[str, Any]:
    """Ask an entry's explainer some of its queries again and say how many answers are the same.

    Args:
        entry: the entry's folder.
        check: how.
        ledger: file to append the outcome to; nothing is written if None.
        by: who checks, for the ledger.
        on_fetch: told what is downloaded and prepared.
        on_queries: told task, queries answered, queries in all.
        on_answers: told judge, descriptions judged, descriptions in all.

    Returns:
        `entry`, `entry_sha256`, `nonce`, `event` and `tasks`: an `Agreement` each. With a fresh
        suite there is no nonce, and `tasks` are a `FreshScore` each with `gap` and `confirmed`.
        Without the target also `without_target`, and `failed`, a sentence, if it gave no answers.

    Raises:
        UsageError: no such entry or task, or `model` is needed.
        CheckFailedError: the model has other weights than the entry.
        MissingPartError: weights, device or disk space are missing.
        IntegrityError: the entry, a run or the ledger is corrupt.
    """
    if check.most < 1:
        raise UsageError(f"k is {check.k}; give 1 or more")
    if check.without_target:
        return _without_target(Path(entry), check, ledger, by)
    if check.fresh is not None:
        return _fresh(Path(entry), check, ledger, by, on_fetch, on_queries, on_answers)
    found = read_entry(Path(entry))
    sha, nonce = entry_sha256(found), check.nonce or secrets.token_hex(NONCE_BYTES)
    runs = _runs(found, check.tasks)
    outcomes = []
    for run in runs:
        qids = choose(list(run.rows), k=check.most, entry_sha=sha, nonce=nonce)
        if not check.judgements:
            outcomes.append(ask_again(run, qids, check, on_fetch, on_queries))
        elif run.judgements:
            outcomes.append(judge_again(run, qids, check, on_fetch, on_answers))
    if not outcomes:
        raise UsageError(f"{entry}: no judgements; only descriptions are judged")
    whole = len(runs) == len(found.runs) and all(one.whole for one in outcomes)
    event = "rejudge" if check.judgements else "rerun" if whole else "recheck"
    if ledger is not None:
        _record(ledger, found, sha, event, outcomes, {"nonce": nonce, "k": check.most}, by)
    return {
        "entry": found.id,
        "entry_sha256": sha,
        "nonce": nonce,
        "event": event,
        "tasks": [asdict(one) for one in outcomes],
    }


def check_agreement(found: Mapping[str, Any]) -> None:
    """Fail unless enough came out the same: `AGREEMENT` of answers, all judgements.

    Args:
        found: what `recheck` returned.

    Raises:
        CheckFailedError: in some task it is less.
    """
    if found.get("failed"):
        raise CheckFailedError(
            f"{found['entry']}: does not answer without the weights of the target: "
            f"{found['failed']}"
        )
    if found["event"] == "fresh":
        for one in found["tasks"]:
            if not one["confirmed"]:
                raise CheckFailedError(
                    f"{found['entry']}: {one['metric']} of {one['task']} is {one['public']:.3f} on "
                    f"public and {one['fresh']:.3f} on fresh queries, which their intervals do not "
                    "allow"
                )
        return
    share = 1.0 if found["event"] == "rejudge" else AGREEMENT
    for one in found["tasks"]:
        if one["agreed"] < share * one["asked"]:
            raise CheckFailedError(
                f"{found['entry']}: of {one['asked']} asked again for {one['task']}, "
                f"{one['agreed']} came out the same, expected {share:.0%}; "
                f"look at {', '.join(one['differing'][:5])}"
            )


def _fresh(
    folder: Path,
    check: Recheck,
    ledger: Path | None,
    by: str,
    on_fetch: OnProgress,
    on_queries: OnQueries | None,
    on_answers: OnAnswers | None,
) -> dict[str, Any]:
    """Ask the explainer of an entry the queries of a fresh suite."""
    entry = read_entry(folder)
    sha = entry_sha256(entry)
    scores = [
        ask_fresh(
            run,
            check,
            str(check.fresh),
            on_fetch=on_fetch,
            on_queries=on_queries,
            on_answers=on_answers,
        )
        for run in _runs(entry, check.tasks)
    ]
    rows = [asdict(one) | {"gap": one.gap, "confirmed": one.confirmed} for one in scores]
    if ledger is not None:
        append_line(
            ledger,
            event="fresh",
            entry=entry.id,
            entry_sha256=sha,
            by=by,
            date=datetime.now(UTC).date().isoformat(),
            reason="asked the queries of a fresh suite, all of them",
            tasks={one.task: (int(one.confirmed), 1) for one in scores},
            details={"scores": rows, "package": __version__},
        )
    return {
        "entry": entry.id,
        "entry_sha256": sha,
        "nonce": None,
        "event": "fresh",
        "tasks": rows,
    }


def _without_target(folder: Path, check: Recheck, ledger: Path | None, by: str) -> dict[str, Any]:
    """Ask an entry's explainer in a process that holds no weights of the target."""
    entry = read_entry(folder)
    runs = _runs(entry, check.tasks)
    if check.judgements:
        raise UsageError("--judgements asks the judges; leave it or --without-target out")
    if check.fresh is not None and any(run.judgements for run in runs):
        raise UsageError(
            "descriptions of a fresh suite are judged with the target's weights; name other tasks "
            "with --task, or leave --fresh or --without-target out"
        )
    answer = ask_without_target(folder, check, runs[0])
    if "failed" in answer:
        asked = {run.header["task"]["id"]: min(check.most, len(run.rows)) for run in runs}
        whole = len(runs) == len(entry.runs) and all(len(run.rows) <= check.most for run in runs)
        tasks = {task: (0, n) for task, n in asked.items()}
        event = "rerun" if whole else "recheck"
        answer = {"entry": entry.id, "event": event, "tasks": [], "nonce": None} | answer
        reason = f"no answers without the target's weights: {answer['failed']}"[:500]
    else:
        tasks = {one["task"]: _came_out(one) for one in answer["tasks"]}
        agreed, n = (sum(pair[place] for pair in tasks.values()) for place in (0, 1))
        reason = f"{agreed} of {n} came out the same without the target's weights"
    if ledger is not None:
        append_line(
            ledger,
            event=answer["event"],
            entry=entry.id,
            entry_sha256=entry_sha256(entry),
            by=by,
            date=datetime.now(UTC).date().isoformat(),
            reason=reason,
            tasks=tasks,
            details={
                WITHOUT_TARGET: True,
                "nonce": answer["nonce"],
                "package": __version__,
            },
        )
    return answer | {WITHOUT_TARGET: True}


def _came_out(found: Mapping[str, Any]) -> tuple[int, int]:
    """What came out the same, and of how many, of a task or of a fresh suite's score."""
    if "confirmed" in found:
        return int(found["confirmed"]), 1
    return found["agreed"], found["asked"]


def _runs(entry: Entry, tasks: Sequence[str]) -> list[Run]:
    paths = {path.stem: path for path in entry.runs}
    if unknown := sorted(set(tasks) - paths.keys()):
        raise UsageError(f"{entry.folder} has no run of {unknown[0]}; it has {', '.join(paths)}")
    return [read_run(path) for task, path in paths.items() if not tasks or task in tasks]


def _record(
    ledger: Path,
    entry: Entry,
    sha: str,
    event: str,
    outcomes: Sequence[Agreement],
    details: Mapping[str, Any],
    by: str,
) -> None:
    asked, agreed = sum(one.asked for one in outcomes), sum(one.agreed for one in outcomes)
    append_line(
        ledger,
        event=event,
        entry=entry.id,
        entry_sha256=sha,
        by=by,
        date=datetime.now(UTC).date().isoformat(),
        reason=f"{agreed} of {asked} came out the same when asked again",
        tasks={one.task: (one.agreed, one.asked) for one in outcomes},
        details={
            **details,
            "identical": {one.task: one.identical for one in outcomes},
            "package": __version__,
        },
    )
