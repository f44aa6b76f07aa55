"""One entry to its row of a board: from scored runs, the ledger and `entry.json`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...benchmark.export.tables import title
from ...benchmark.metrics.bootstrap import ends
from ...benchmark.records import REPLAYS
from ...benchmark.runs.header import Answering
from ...benchmark.scoring.compare import fixed_verdict, recipe
from ...benchmark.suite.suite import Suite
from ...benchmark.task import Task
from ..submissions.checks import EntryAccess, control_problem, entry_access
from ..submissions.copies import Label, Replies, is_own, replies_of
from ..submissions.copies import said as said_form
from ..submissions.entries import Entry
from ..submissions.validate import suspicion
from ..verification.ledger import LedgerState
from .board import Estimate, Layered, Row, TaskScore, estimate_of
from .ranking import Overall, Standing
from .scored import ScoredRun

Tasks = Sequence[tuple[Task, Suite]]

RE_RUN = 3  # tier from which every reply was asked for again


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredEntry:
    """An entry with its scored runs."""

    entry: Entry
    runs: Mapping[str, ScoredRun]  # by task
    ledger: LedgerState
    place: int  # in the order of merges; equal ones are not known to differ

    @property
    def name(self) -> str:
        """Organisation and name."""
        return f"{self.entry.fields.org}/{self.entry.fields.name}"

    @property
    def access(self) -> EntryAccess:
        """How it comes by its answers."""
        return entry_access(self.entry.fields, self.runs, self.ledger)

    @property
    def explainers(self) -> list[Answering]:
        """What the header of each run says of the explainer."""
        return [run.header.explainer for run in self.runs.values()]

    @property
    def shuffled(self) -> bool:
        """Whether a run had other queries' vectors."""
        return any(explainer.shuffled_vectors for explainer in self.explainers)

    @property
    def own_vectors(self) -> bool:
        """Whether every run had the queries' own vectors."""
        return not (self.shuffled or any(one.no_vector for one in self.explainers))

    @property
    def ranked(self) -> bool:
        """Whether its access class ranks it, and it was not withdrawn."""
        return not (self.access.unranked or self.ledger.withdrawn)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """A suite with all that was submitted to it."""

    name: str
    tasks: Tasks
    entries: Sequence[ScoredEntry]  # in the order of ids

    @property
    def target(self) -> str | None:
        """Name of the target."""
        name = self.tasks[0][1].manifest["target"].get("name")
        return None if name is None else str(name)

    def named(self, own: ScoredEntry) -> ScoredEntry | None:
        """Return the entry that an entry names as its control, whether it is one or not."""
        named = (one for one in self.entries if one.entry.id == own.entry.fields.vector_use)
        return next(named, None)

    def control(self, own: ScoredEntry) -> ScoredEntry | None:
        """Return the entry without vectors that an entry names, if nothing else differs."""
        control = self.named(own)
        if control is None or control_of(own, control) is not None:
            return None
        for task, suite in self.tasks:
            if task.name in own.runs.keys() & control.runs.keys():
                headers = [one.runs[task.name].header for one in (own, control)]
                ours, theirs = (recipe(one, task, vectors=False) for one in headers)
                if ours != theirs or any(fixed_verdict(h, suite, task.headline) for h in headers):
                    return None
        return control


def control_of(own: ScoredEntry, control: ScoredEntry) -> str | None:
    """Say why one entry is not another one's control; see `control_problem`."""
    return control_problem((own.entry.id, control.entry.id), own.runs, control.runs)


def make_row(
    found: ScoredEntry,
    collected: Collected,
    places: Mapping[str, Standing],
    labels: Sequence[Label],
) -> Row:
    """Return an entry's row; `places` and `labels` are those of its suite."""
    entry, said, ledger, access = found.entry, found.entry.fields, found.ledger, found.access
    whole, control = places.get(entry.id), collected.control(found)
    place, overall = (whole.place, whole.overall) if whole else (None, None)
    as_is = ("org", "name", "kind", "parameters", "date", "licence", "bibtex", "n_train")
    return Row(
        **{name: getattr(said, name) for name in as_is},
        id=entry.id,
        access=access.access,
        access_basis=access.basis,
        unranked=access.unranked,
        scores={
            task.name: _score(found.runs[task.name], task, access.by_task[task.name])
            for task, _ in collected.tasks
            if task.name in found.runs
        },
        rank=place.interval_95 if place else None,
        ties=place.letters if place else (),
        overall=Estimate.of(overall.value, overall.interval_95) if overall else None,
        rescaled=dict(overall.by_task) if overall else {},
        tier=ledger.tier,
        tier_note=_ledger(ledger),
        labels=(
            *(f"{label.kind}: {label.text}" for label in labels if label.entry == entry.id),
            *(f"flagged: {reason}" for reason in ledger.flags),
            *_warnings(found, collected),
        ),
        withdrawn=ledger.withdrawn,
        uses_vectors=found.own_vectors,
        vector_gain=None if control is None else _gain(overall, places.get(control.entry.id)),
        seconds_per_query=_per_query(found.runs, ("seconds",)),
        tokens_per_query=_per_query(found.runs, ("tokens_in", "tokens_out")),
        base=made_from(found, collected),
        authors=tuple(said.authors),
        links=dict(said.links),
        trained_on=tuple(said.trained_on),
        notes=entry.notes or "",
        facts=_facts(found) | _re_computed(found, collected),
    )


def is_target(found: ScoredEntry, collected: Collected) -> bool:
    """Whether an explainer is known to be the suite's target, or made from it.

    It loaded a weight file of the target, by its hash, which a baseline of the benchmark's own
    entries may have converted; or everything was run again, and it was said.
    """
    loaded = _loaded(found)
    if found.ledger.tier >= RE_RUN and found.entry.fields.base == collected.target:
        return True
    target = collected.tasks[0][1].manifest["target"]
    known = {str(one) for one in target.get("weights_sha256", {}).values()}
    own = (one for one in collected.entries if is_own(one.entry))
    return bool(loaded & known.union(*map(_loaded, own)))


def made_from(found: ScoredEntry, collected: Collected) -> str | None:
    """Return the model that an explainer was made from: the target if it is, or what it says."""
    return collected.target if is_target(found, collected) else found.entry.fields.base


def _warnings(found: ScoredEntry, collected: Collected) -> Iterator[str]:
    """Yield scores that should be looked at, and claims that nothing shows."""
    for task, suite in collected.tasks:
        if (run := found.runs.get(task.name)) is not None:
            value = run.result["overall"]["metrics"][task.headline]["value"]
            access, kind = found.access.by_task[task.name], found.entry.fields.kind
            if said := suspicion(value, access, task, suite, kind=kind):
                mark = "replay" if access == REPLAYS else "high"
                yield f"{mark}: {title(task.headline)} of {task.name} {said}"
    if (named := collected.named(found)) and (problem := control_of(found, named)):
        yield f"control: names {named.entry.id}, which {problem}; nothing is compared with it"
    same, asked = found.ledger.rejudged or (0, 0)
    if same < asked:
        yield f"judgements: the frozen judges gave {asked - same} of {asked} predictions otherwise"
    base = found.entry.fields.base
    if base is not None and base == collected.target and not is_target(found, collected):
        yield f"base: says that it was made from {base}, but loaded none of its weight files"


def _loaded(found: ScoredEntry) -> set[str]:
    return {str(sha) for one in found.explainers for sha in one.weights_sha256.values()}


def compared_replies(found: ScoredEntry, tasks: Tasks) -> Replies:
    """Return what an entry said, as far as comparing it with others needs it."""
    raw, right = {}, {}
    for task, suite in tasks:
        run = found.runs.get(task.name)
        for number, reply in enumerate(run.replies if run else ()):
            raw[task.name, str(number)] = said_form(reply.read, reply.raw)
            if not suite.describes:
                right[task.name, str(number)] = reply.right
    headers = [run.header for run in found.runs.values()]
    return replies_of(found.entry, headers, raw, right, found.place)


def _score(run: ScoredRun, task: Task, access: str) -> TaskScore:
    overall = run.result["overall"]
    layers = []
    for name, part in run.result["by_layers"].items():  # such as `06-11` or `12`
        first, _, last = name.partition("-")
        if (score := estimate_of(part["metrics"][task.headline])) is not None:
            layers.append(Layered(first=int(first), last=int(last or first), score=score))
    return TaskScore(
        headline=estimate_of(overall["metrics"][task.headline]),
        metrics={name: estimate_of(overall["metrics"][name]) for name in task.metrics},
        **{name: overall[name] for name in ("n", "n_groups", "unparsed", "missing")},
        by_layers=tuple(layers),
        run_sha256=run.result["body_sha256"],
        access=access,
    )


def _gain(own: Overall | None, control: Standing | None) -> Estimate | None:
    if own is None or control is None or control.overall is None:
        return None
    interval = ends(own.resampled - control.overall.resampled)
    return Estimate.of(own.value - control.overall.value, interval)


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


def _ledger(state: LedgerState) -> str:
    if not state.lines:
        return ""
    line = state.lines[-1]
    shares = [f"{task} {same} of {asked} the same" for task, (same, asked) in line.tasks.items()]
    said = f"line {line.number}, {line.date}, {line.event} by {line.by}: {line.reason}"
    return "; ".join([said, *shares])


def _re_computed(found: ScoredEntry, collected: Collected) -> dict[str, str]:
    """Say of descriptions what was re-run, and what only computed from what the file says."""
    if not any(suite.describes and task.name in found.runs for task, suite in collected.tasks):
        return {}
    taken = "scores are computed from the predictions that the run file holds"
    if found.ledger.rejudged is None:
        return {"Judgements": f"{taken}; no judge was run again"}
    same, asked = found.ledger.rejudged
    return {"Judgements": f"{taken}; of {asked} judged again {same} came out the same"}


def _facts(found: ScoredEntry) -> dict[str, str]:
    versions = {run.header.package.version for run in found.runs.values()}
    hashes = (explainer.weights_sha256 for explainer in found.explainers)
    weights = {f"{name} {sha}" for of_run in hashes for name, sha in of_run.items()}
    return {
        "Ran as": ", ".join(sorted({explainer.name for explainer in found.explainers})),
        "Attempts": str(found.entry.fields.attempts),
        "Ran with package": ", ".join(sorted(versions)),
        "Weights sha256": "; ".join(sorted(weights)),
        "Self-tests": "those of the suite, when it was frozen; none of where this was run",
    }
