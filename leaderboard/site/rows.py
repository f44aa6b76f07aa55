"""One entry to its row of a board.

Owns what is taken from where: scores from scored runs, standing from the ledger, words from
`entry.json`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...benchmark.metrics.bootstrap import ends
from ...benchmark.suite.suite import Suite
from ...benchmark.task import Task
from ..ranking.overall import Overall
from ..ranking.standings import Standing
from ..submissions.access import EntryAccess, entry_access
from ..submissions.copies import Label, Replies
from ..submissions.entries import Entry
from ..submissions.replies_compared import OWN_ORG
from ..submissions.schema import ENTRY_ID
from ..verification.tiers import Standing as Ledgered
from .board import Estimate, Layered, Row, TaskScore
from .scored import ScoredRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """An entry with its scored runs."""

    entry: Entry
    """The submission."""
    runs: Mapping[str, ScoredRun]
    """Its runs by task."""
    standing: Ledgered
    """What the ledger says of it."""

    @property
    def access(self) -> EntryAccess:
        """How it comes by its answers."""
        headers = {task: run.header for task, run in self.runs.items()}
        return entry_access(self.entry.fields, headers, self.standing)


def make_row(
    found: Scored,
    places: Mapping[str, Standing],
    labels: Sequence[Label],
    tasks: Sequence[tuple[Task, Suite]],
    *,
    control: Scored | None = None,
) -> Row:
    """Return an entry's row.

    Args:
        found: the entry.
        places: rank and overall by entry, of those that have one.
        labels: what was seen of it beside earlier entries.
        tasks: the suite's tasks.
        control: the entry it names as its own without vectors, if the two are equals.
    """
    entry, said = found.entry, found.entry.fields
    whole = places.get(entry.id)
    place, overall = (whole.place, whole.overall) if whole else (None, None)
    explainers = [run.header["explainer"] for run in found.runs.values()]
    access = found.access
    return Row(
        id=entry.id,
        org=said["org"],
        name=said["name"],
        kind=said["kind"],
        access=access.access,
        access_basis=access.basis,
        unranked=access.unranked,
        scores={
            t.name: _score(found.runs[t.name], t, access.by_task[t.name])
            for t, _ in tasks
            if t.name in found.runs
        },
        rank=place.interval_95 if place else None,
        ties=place.letters if place else (),
        overall=_estimate(overall),
        rescaled=dict(overall.by_task) if overall else {},
        tier=found.standing.tier,
        tier_note=_ledger(found.standing),
        labels=tuple(f"{label.kind}: {label.text}" for label in labels) + _flags(found.standing),
        withdrawn=found.standing.withdrawn,
        uses_vectors=not any(
            explainer["no_vector"] or explainer.get("shuffled_vectors") for explainer in explainers
        ),
        vector_gain=None if control is None else _gain(overall, places.get(control.entry.id)),
        seconds_per_query=_per_query(found.runs, ("seconds",)),
        tokens_per_query=_per_query(found.runs, ("tokens_in", "tokens_out")),
        parameters=said["parameters"],
        n_train=said.get("n_train"),
        base=made_from(found, tasks),
        date=said["date"],
        authors=tuple(said["authors"]),
        links=dict(said["links"]),
        licence=said["licence"],
        trained_on=tuple(said["trained_on"]),
        bibtex=said["bibtex"],
        notes=entry.notes or "",
        facts=_facts(found),
    )


def made_from(found: Scored, tasks: Sequence[tuple[Task, Suite]]) -> str | None:
    """Return the target model that an explainer was made from, if it is known to be one.

    What `entry.json` says; else the suite's own target, where the explainer loaded its weights or
    is one of the benchmark's baselines, which load no other.
    """
    declared = found.entry.fields.get("base")
    if isinstance(declared, str):
        return declared
    target = tasks[0][1].manifest["target"]
    known = {str(one) for one in target.get("weights_sha256", {}).values()}
    for run in found.runs.values():
        explainer = run.header["explainer"]
        loaded = {str(one) for one in explainer.get("weights_sha256", {}).values()}
        if loaded and (loaded & known or explainer["kind"] == "baseline"):
            name = target.get("name")
            return None if name is None else str(name)
    return None


def replies_of(found: Scored, tasks: Sequence[tuple[Task, Suite]]) -> Replies:
    """Return what an entry said, as far as comparing it with others needs it."""
    raw, right = {}, {}
    weights: set[str] = set()
    for task, suite in tasks:
        run = found.runs.get(task.name)
        if run is None:
            continue
        weights |= {str(one) for one in run.header["explainer"].get("weights_sha256", {}).values()}
        for place, reply in enumerate(run.replies):
            raw[task.name, str(place)] = reply.raw or ""
            if not suite.describes:
                right[task.name, str(place)] = reply.right
    match = ENTRY_ID.fullmatch(found.entry.id)
    org = match["org"] if match else ""
    return Replies(
        id=found.entry.id,
        org=org,
        date=found.entry.fields["date"],
        raw=raw,
        right=right,
        baseline=org == OWN_ORG and found.entry.fields["kind"] in ("baseline", "oracle"),
        weights=frozenset(weights),
    )


def _score(run: ScoredRun, task: Task, access: str) -> TaskScore:
    overall = run.result["overall"]
    layers = [
        Layered(first=first, last=last, score=score)
        for (first, last), score in (
            (_ends_of(name), estimate(part["metrics"][task.headline]))
            for name, part in run.result["by_layers"].items()
        )
        if score is not None
    ]
    return TaskScore(
        headline=estimate(overall["metrics"][task.headline]),
        metrics={name: estimate(overall["metrics"][name]) for name in task.metrics},
        n=overall["n"],
        n_groups=overall["n_groups"],
        unparsed=overall["unparsed"],
        missing=overall["missing"],
        by_layers=tuple(layers),
        run_sha256=run.result["body_sha256"],
        access=access,
    )


def estimate(metric: Mapping[str, Any]) -> Estimate | None:
    """Return a metric of a result; None where it has no value."""
    if metric["value"] is None:
        return None
    low, high = metric["interval_95"] or (None, None)
    return Estimate(value=metric["value"], low=low, high=high)


def _ends_of(name: str) -> tuple[int, int]:
    """Return first and last layer of a key of `by_layers`, such as `06-11` or `12`."""
    first, _, last = name.partition("-")
    return int(first), int(last or first)


def _estimate(overall: Overall | None) -> Estimate | None:
    if overall is None:
        return None
    low, high = overall.interval_95
    return Estimate(value=overall.value, low=low, high=high)


def _gain(own: Overall | None, control: Standing | None) -> Estimate | None:
    if own is None or control is None or control.overall is None:
        return None
    low, high = ends(own.resampled - control.overall.resampled)
    return Estimate(value=own.value - control.overall.value, low=low, high=high)


def _per_query(runs: Mapping[str, ScoredRun], names: Sequence[str]) -> float | None:
    """Return a cost a query over all runs, or None if one does not say or it is nothing."""
    total, n = 0.0, 0
    for run in runs.values():
        cost = run.result["cost"] or {}
        for name in names:
            value = cost.get(name)
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                return None
            total += value
        n += len(run.replies)
    return total / n if total else None


def _ledger(standing: Ledgered) -> str:
    """Return what the ledger said last, with its line."""
    if not standing.lines:
        return ""
    line = standing.lines[-1]
    shares = [
        f"{task} {agreed} of {asked} the same" for task, (agreed, asked) in line.tasks.items()
    ]
    said = f"line {line.number}, {line.date}, {line.event} by {line.by}: {line.reason}"
    return "; ".join([said, *shares])


def _flags(standing: Ledgered) -> tuple[str, ...]:
    return tuple(f"flagged: {reason}" for reason in standing.flags)


def _facts(found: Scored) -> dict[str, str]:
    runs = list(found.runs.values())
    names = sorted({str(run.header["explainer"]["name"]) for run in runs})
    versions = sorted({str(run.header["package"].get("version")) for run in runs})
    weights = sorted(
        {
            f"{name} {sha}"
            for run in runs
            for name, sha in run.header["explainer"].get("weights_sha256", {}).items()
        }
    )
    return {
        "Ran as": ", ".join(names),
        "Attempts": str(found.entry.fields["attempts"]),
        "Ran with package": ", ".join(versions),
        "Weights sha256": "; ".join(weights),
    }
