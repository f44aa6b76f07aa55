"""Run file and ground truth in, results out; what a run says of its own score is not believed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .._version import PROMPT_VERSION
from ..errors import IntegrityError
from ..metrics.bootstrap import distance_of, estimates, layers_of, margin_of, take
from ..metrics.confidence import FIELDS, confidence_result
from ..metrics.verdicts import METRIC_VERSION, NO_VERDICT, ScoreTable, Table
from ..records import Answer, Replied, Scored
from ..registry import get_task
from ..runs.header import Header, decoding_of, n_train
from ..runs.run import Run, read_replies, read_run
from ..suite.select import find_suite, shipped_suite
from ..suite.suite import Suite
from ..task import Task
from .correct import group_numbers, is_right, of_kind
from .judged import describe_result, description_table, grade_descriptions, shown_description
from .scale import NoScaleError, scale_of

VERSIONS = {
    "schema": "introspect-bench/score/1",
    "metric_version": METRIC_VERSION,
    "prompt_version": PROMPT_VERSION,
}
CALCULATOR = "baseline/calculator"  # Who carries out each query's intervention, as its runs name it
LONGEST = 300  # Characters of an unreadable reply that are shown
SEED = 0  # Seed of the bootstrap: fixed, so that an interval is a property of the run file


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """How runs are scored on one kind of truth."""

    grade: Callable[[Run, Task, Suite], tuple[Any, ...]]  # Every query beside answer and truth
    table: Callable[[Sequence[Any]], Table]  # Those, at least one, as columns for the metrics
    shown: Callable[[Any], dict[str, Any]]  # What `show` says of one after the query


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """A run, with every query it is about beside truth and answer, in the suite's order."""

    run: Run
    task: Task
    suite: Suite
    scored: tuple[Replied, ...]

    @property
    def path(self) -> Path:
        """The run file."""
        return self.run.path

    @property
    def split(self) -> str:
        """Name of the split it is about."""
        return self.run.header.task.split

    @property
    def kept(self) -> list[int]:
        """Places in `scored` of the queries that headline numbers are computed over."""
        kinds, every = self.task.headline_kinds, enumerate(self.scored)
        return [row for row, one in every if kinds is None or one.query.kind in kinds]

    @property
    def headline(self) -> list[Replied]:
        """The queries that headline numbers are computed over."""
        return [self.scored[row] for row in self.kept]

    @property
    def scorer(self) -> Scorer:
        """What scores the kind of truth that the suite holds."""
        return DESCRIPTIONS if self.suite.describes else LABELS

    def table(self, rows: Iterable[int]) -> Table:
        """Return some rows of `scored`, at least one, as columns for the metrics."""
        return self.scorer.table([self.scored[row] for row in rows])

    def result(self) -> dict[str, Any]:
        """Score it: a JSON object with counts, metrics, intervals and what to compare them with.

        `overall` is over the headline, null if the run has none; `by_kind` is over all; `by_layers`
        and `by_margin` over the headline, where queries have these; `by_distance` tells features
        near to the training split's from others. Each holds `n`, `n_groups`, `scored`, `unparsed`,
        `missing` and `metrics`: name to `{"value", "interval_95", "n", "n_groups"}`, null where
        there is none.
        """
        run, task, suite, kept = self.run, self.task, self.suite, self.kept
        scored: Any = self.scored  # Of `Described` if the suite describes, else of `Scored`
        every, status = range(len(scored)), [one.status for one in scored]
        part = partial(self._part, self.table(every), status)
        footer, header, counts = run.footer or {}, run.header, _counts(status)
        describes, bare = suite.describes, suite.describes and not suite.has_windows
        margins = (margin_of(scored[row]) for row in kept)
        return {
            **VERSIONS,
            "suite": suite.name,
            "task": task.name,
            "version": task.version,
            "split": self.split,
            "target": suite.manifest["target"].get("name"),
            "frozen": suite.frozen,
            "data_sha256": suite.data_sha256,
            "prompt_sha256": task.prompt_sha256,
            "run_id": header.run_id,
            "body_sha256": run.body_sha256,
            "access": header.access,
            "explainer": who(header, task),
            "complete": run.complete,
            "partial": header.partial,
            "headline": task.headline,
            "metrics": list(task.metrics),
            "counts": {"queries": len(scored), **counts},
            "unread": _unread(scored, task, counts),
            "labels_reproduced": self._reproduced(),
            "overall": part(kept) if kept else None,
            # ratings are all there is without windows
            "by_kind": {} if bare else _by(part, every, [one.query.kind for one in scored]),
            "by_layers": _by(part, kept, [layers_of(scored[row].query) for row in kept]),
            "by_margin": {} if describes else _by(part, kept, margins),
            "by_distance": _by(part, every, map(distance_of, scored)) if describes else {},
            "descriptions": describe_result(scored, seed=SEED) if describes else None,
            "confidence": None if describes else self._confidence(),
            "reference": None if header.partial else self._reference(),
            "cost": footer.get("cost"),
            "claimed": footer.get("claimed", {}),
        }

    def _part(self, table: Table, status: Sequence[str], rows: Sequence[int]) -> dict[str, Any]:
        """Score some rows of the table of all."""
        part = take(table, rows)
        size = {"n": part.n, "n_groups": part.n_groups}
        found = estimates(part, self.task.metrics, seed=SEED)
        metrics = {name: estimate | size for name, estimate in found.items()}
        return {**size, **_counts(status[row] for row in rows), "metrics": metrics}

    def _confidence(self) -> dict[str, Any] | None:
        """What is said of how sure the run was, against what is right of the headline."""
        rows: Mapping[str, Mapping[str, Any]] = self.run.rows
        sure = {key for key, row in rows.items() if not row.keys().isdisjoint(FIELDS)}
        said = (one for one in self.headline if one.query.id in sure and isinstance(one, Scored))
        return confidence_result(rows, {one.query.id: is_right(one) for one in said})

    def _reference(self) -> Mapping[str, Any]:
        """What is reached without introspection on this split, if the suite's manifest says."""
        manifest = self.suite.manifest
        try:
            scale = asdict(scale_of(manifest, self.split, self.task.headline))
        except NoScaleError:
            scale = None
        statistics = manifest.get("statistics", {}).get(self.split, {})
        return {"input_only_ceiling": statistics.get("input_only_ceiling"), "scale": scale}

    def _reproduced(self) -> dict[str, int] | None:
        """Count the labels that the calculator came to again; None for any other explainer."""
        if self.run.header.explainer.name != CALCULATOR:
            return None
        same = sum(isinstance(one, Scored) and all(is_right(one)) for one in self.scored)
        return {"n": same, "of": len(self.scored)}


def who(header: Header, task: Task) -> dict[str, Any]:
    """Return what a table needs to know about who answered."""
    said = header.explainer
    return {
        "name": said.name,
        "kind": said.kind,
        "revision": said.revision,
        "shots": said.shots,
        "no_vector": said.no_vector,
        "shuffled_vectors": said.shuffled_vectors,
        **decoding_of(said.settings),
        "n_train": n_train(said.settings, task.name),
    }


def about(run: Run, suite: str | None) -> tuple[Task, Suite]:
    """Return a run's task and suite; its header can name shipped suites only, never a folder."""
    said = run.header.task
    task = get_task(said.id)
    if suite is not None:
        return task, find_suite(suite, task.name)
    return task, shipped_suite(said.suite, task.name)


def grade_file(path: Path | str, *, suite: str | None = None) -> Graded:
    """Read and grade a run file; `suite` is a folder of suites that are not in the package."""
    run = read_run(Path(path))
    return grade_run(run, *about(run, suite))


def grade_run(run: Run, task: Task, suite: Suite) -> Graded:
    """Put every query a run is about beside its truth and answer.

    NotJudgedError: a description was not judged yet.
    """
    scorer = DESCRIPTIONS if suite.describes else LABELS
    return Graded(run=run, task=task, suite=suite, scored=scorer.grade(run, task, suite))


def grade(run: Run, task: Task, suite: Suite) -> tuple[Scored, ...]:
    """Grade a run about interventions."""
    replies = read_replies(run, task, suite)
    if run.judgements:
        raise IntegrityError(f"{run.path}: holds judgements, but answers to {task.name} need none")
    truth = suite.truth(run.header.task.split)
    return tuple(
        Scored(
            query=reply.query,
            raw=reply.raw,
            answer=of_kind(reply, truth[reply.query.id]),
            truth=truth[reply.query.id],
        )
        for reply in replies
    )


def score_table(scored: Sequence[Scored]) -> ScoreTable:
    """Return scored queries, at least one, as columns for the metrics."""
    right = [is_right(s) for s in scored]
    verdicts = [
        int(s.answer.changed) if isinstance(s.answer, Answer) else NO_VERDICT for s in scored
    ]
    return ScoreTable(
        exact=np.array([all(pair) for pair in right], dtype=np.bool_),
        content=np.array([content for _, content in right], dtype=np.bool_),
        true_changed=np.array([s.truth.changed for s in scored], dtype=np.bool_),
        pred_changed=np.array(verdicts, dtype=np.int8),
        kind=np.array([s.query.kind for s in scored], dtype=np.str_),
        group=group_numbers(scored),
    )


def shown_label(one: Scored) -> dict[str, Any]:
    """Return what `show` says of a query about an intervention."""
    verdict_right, content_right = is_right(one)
    answer = one.answer
    return {
        "clean": one.truth.clean,
        "truth": one.truth.part or one.truth.outcome,
        "changed": one.truth.changed,
        "raw": one.raw,
        "status": one.status,
        "says_changed": answer.changed if isinstance(answer, Answer) else None,
        "answer": answer.content if isinstance(answer, Answer) else answer and answer.part,
        "verdict": verdict_right,
        "content": content_right,
        "exact": verdict_right and content_right,
    }


LABELS = Scorer(grade=grade, table=score_table, shown=shown_label)
DESCRIPTIONS = Scorer(grade=grade_descriptions, table=description_table, shown=shown_description)


def _by(
    part: Callable[[Sequence[int]], dict[str, Any]], rows: Iterable[int], names: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """Score apart the rows of each name, in the order of the names; those of none, nowhere."""
    parts: dict[str, list[int]] = {}
    for row, name in zip(rows, names, strict=True):
        parts.setdefault(name, []).append(row)
    return {name: part(parts[name]) for name in sorted(parts) if name}


def _counts(status: Iterable[str]) -> dict[str, int]:
    counts = Counter(status)
    return {name: counts[name] for name in ("scored", "unparsed", "missing")}


def _unread(
    replies: Sequence[Replied], task: Task, counts: Mapping[str, int]
) -> dict[str, Any] | None:
    """Return one reply that cannot be read and the form expected, if that is so of most of them."""
    if counts["unparsed"] <= counts["scored"]:
        return None
    failed = [one for one in replies if one.status == "unparsed"]
    # an empty reply shows nothing of the explainer's form
    one = next((one for one in failed if (one.raw or "").strip()), failed[0])
    return {
        "unparsed": counts["unparsed"],
        "answered": counts["unparsed"] + counts["scored"],
        "id": one.query.id,
        "reply": (one.raw or "")[:LONGEST],
        "expected": task.form,
    }
