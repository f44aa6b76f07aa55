"""Entries checked by asking again: some queries, all of them, or those of a fresh suite.

A file of replies cannot show that a model gave them; asking the model again can.
"""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from ...benchmark._version import __version__
from ...benchmark.cache import Progress, silent
from ...benchmark.errors import CheckFailedError, IntrospectBenchError, UsageError
from ...benchmark.files import write_json_atomic
from ...benchmark.models.withheld import WithheldError, guard_folders
from ...benchmark.runs.run import Run, read_run
from ..submissions.entries import Entry, entry_sha256, read_entry
from .fresh import MIN_GROUPS, MOST_GAP, ask_fresh
from .ledger import AGREEMENT, WITHOUT_TARGET, Line, append_line
from .rerun import ANSWER, ORDER, Recheck, ask_again, ask_without_target, judge_again

NONCE_BYTES = 8


def choose(qids: Sequence[str], *, k: int, entry_sha: str, nonce: str) -> list[str]:
    """Return the `k` queries that come first by `sha256(entry hash : nonce : query id)`."""
    hashes = {qid: sha256(f"{entry_sha}:{nonce}:{qid}".encode()).hexdigest() for qid in qids}
    return sorted(qids, key=lambda qid: hashes[qid])[:k]


def recheck(
    entry: Path | str,
    check: Recheck,
    *,
    ledger: Path | str | None = None,
    by: str = "maintainer",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Ask an entry's explainer some of its queries again and say how many answers are the same.

    The answer has `entry`, `entry_sha256`, `nonce`, `event` and `tasks`: an `Agreement` each. With
    a fresh suite there is no nonce, and `tasks` are a `FreshScore` each with `gap` and `confirmed`.
    Without the target also `without_target`, and `failed`, a sentence, if it gave no answers.
    """
    if check.most < 1:
        raise UsageError(f"k is {check.k}; give 1 or more")
    submitted = read_entry(Path(entry))
    runs = _runs(submitted, check.tasks)
    if check.without_target:
        answer, line = _without_target(submitted, runs, check)
    else:
        ask = _again if check.fresh is None else _fresh
        answer, line = ask(submitted, runs, check, progress)
    if ledger is not None:
        append_line(Path(ledger), replace(line, by=by))
    return answer


def check_agreement(found: Mapping[str, Any]) -> None:
    """Fail unless enough came out the same: `AGREEMENT` of answers, all judgements."""
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
                    f"public and {one['fresh']:.3f} on fresh queries; confirmed is a gap whose "
                    f"interval ends below {MOST_GAP}, here {one['gap_95'][1]:.3f}, over "
                    f"{MIN_GROUPS} groups or more, here {one['public_n'][1]} and "
                    f"{one['fresh_n'][1]}"
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


Checked = tuple[dict[str, Any], Line]  # what `recheck` returns; the line, but for who checked


def _checked(
    entry: Entry,
    answer: dict[str, Any],
    reason: str,
    tasks: Mapping[str, tuple[int, int]],
    details: Mapping[str, Any],
) -> Checked:
    sha = entry_sha256(entry)
    line = Line(
        event=answer["event"],
        entry=entry.id,
        entry_sha256=sha,
        by="",
        reason=reason,
        tasks=tasks,
        details={**details, "package": __version__},
    )
    return {"entry": entry.id, "entry_sha256": sha} | answer, line


def _again(entry: Entry, runs: Sequence[Run], check: Recheck, progress: Progress) -> Checked:
    sha, nonce = entry_sha256(entry), check.nonce or secrets.token_hex(NONCE_BYTES)
    outcomes = []
    for run in runs:
        qids = choose(list(run.rows), k=check.most, entry_sha=sha, nonce=nonce)
        if not check.judgements:
            outcomes.append(ask_again(run, qids, check, progress))
        elif run.judgements:
            outcomes.append(judge_again(run, qids, check, progress))
    if not outcomes:
        raise UsageError(f"{entry.folder}: no judgements; only descriptions are judged")
    whole = len(runs) == len(entry.runs) and all(one.whole for one in outcomes)
    event = "rejudge" if check.judgements else "rerun" if whole else "recheck"
    answer = {"nonce": nonce, "event": event, "tasks": [asdict(one) for one in outcomes]}
    asked, agreed = sum(one.asked for one in outcomes), sum(one.agreed for one in outcomes)
    reason = f"{agreed} of {asked} came out the same when asked again"
    identical = {one.task: one.identical for one in outcomes}
    details = {"nonce": nonce, "k": check.most, "identical": identical}
    tasks = {one.task: (one.agreed, one.asked) for one in outcomes}
    return _checked(entry, answer, reason, tasks, details)


def _fresh(entry: Entry, runs: Sequence[Run], check: Recheck, progress: Progress) -> Checked:
    scores = [ask_fresh(run, check, progress=progress) for run in runs]
    rows = [one.as_json() for one in scores]
    answer = {"nonce": None, "event": "fresh", "tasks": rows}
    tasks = {one.task: (int(one.confirmed), 1) for one in scores}
    return _checked(entry, answer, _gaps(rows), tasks, {"scores": rows})


def _gaps(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say what was found on a fresh suite, a `FreshScore` a task."""
    return "; ".join(
        f"{one['task']}: public {one['public']:.3f}, fresh {one['fresh']:.3f} on "
        f"{one['fresh_n'][0]} queries, gap {one['gap']:+.3f} "
        f"[{one['gap_95'][0]:+.3f}, {one['gap_95'][1]:+.3f}]"
        for one in rows
    )


def _without_target(entry: Entry, runs: Sequence[Run], check: Recheck) -> Checked:
    """Ask an entry's explainer in a process that holds no weights of the target."""
    if check.judgements:
        raise UsageError("--judgements asks the judges; leave it or --without-target out")
    if check.fresh is not None and any(run.judgements for run in runs):
        raise UsageError(
            "descriptions of a fresh suite are judged with the target's weights; name other tasks "
            "with --task, or leave --fresh or --without-target out"
        )
    answer = ask_without_target(entry.folder, check, runs[0])
    if "failed" in answer:
        whole = len(runs) == len(entry.runs) and all(len(run.rows) <= check.most for run in runs)
        tasks = {run.header.task.id: (0, min(check.most, len(run.rows))) for run in runs}
        event = "rerun" if whole else "recheck"
        answer = {"event": event, "tasks": [], "nonce": None} | answer
        reason = f"no answers without the target's weights: {answer['failed']}"[:500]
    else:
        # a fresh suite confirms a task or does not; else some answers of those asked agree
        tasks = {
            one["task"]: (int(one.get("agreed", one.get("confirmed"))), int(one.get("asked", 1)))
            for one in answer["tasks"]
        }
        agreed, n = (sum(pair[place] for pair in tasks.values()) for place in (0, 1))
        reason = f"{agreed} of {n} came out the same without the target's weights"
    details = {WITHOUT_TARGET: True, "nonce": answer["nonce"]}
    if answer["event"] == "fresh" and answer["tasks"]:
        reason = f"{_gaps(answer['tasks'])}, without the target's weights"
        details["scores"] = answer["tasks"]
    return _checked(entry, answer | {WITHOUT_TARGET: True}, reason, tasks, details)


def _runs(entry: Entry, tasks: Sequence[str]) -> list[Run]:
    paths = {path.stem: path for path in entry.runs}
    if unknown := sorted(set(tasks) - paths.keys()):
        raise UsageError(f"{entry.folder} has no run of {unknown[0]}; it has {', '.join(paths)}")
    return [read_run(path) for task, path in paths.items() if not tasks or task in tasks]


def _withheld_answer(order: Mapping[str, Any]) -> dict[str, Any]:
    """Check an entry in a process that holds no weights of a target; say how that ended."""
    try:
        return recheck(order["entry"], Recheck(**order["check"]))
    except WithheldError as error:
        return {"failed": str(error)}
    except IntrospectBenchError as error:
        return {"error": type(error).__name__, "said": str(error)}
    except Exception as error:  # noqa: BLE001  whatever user code does when it lacks the target
        cause = error.__cause__ or error.__context__
        if isinstance(cause, WithheldError):
            return {"failed": str(cause)}
        return {"failed": f"it stopped with {type(error).__name__}: {str(error)[:300]}"}


if __name__ == "__main__":  # the process that `ask_without_target` starts
    guard_folders()
    place = Path(sys.argv[1])
    write_json_atomic(place / ANSWER, _withheld_answer(json.loads((place / ORDER).read_text())))
