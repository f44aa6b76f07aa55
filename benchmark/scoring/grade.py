"""Run file and ground truth in, results out; what a run says of its own score is not believed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._version import PROMPT_VERSION
from ..errors import IntegrityError
from ..metrics.bootstrap import distance_of, estimates, layers_of, margin_of, take
from ..metrics.confidence import confidence_result
from ..metrics.verdicts import METRIC_VERSION, NO_VERDICT, ScoreTable, Table
from ..records import Answer, Described, Replied, Scored
from ..registry import get_task
from ..runs.header import Header, decoding_of, n_train
from ..runs.run import Run, read_replies, read_run
from ..suite.select import find_suite, shipped_suite
from ..suite.suite import Suite
from ..task import Task
from .correct import is_right, of_kind
from .judged import describe_result, description_table, grade_descriptions
from .scale import NoScaleError, scale_of

SCHEMA = "introspect-bench/score/1"
CALCULATOR = "baseline/calculator"  # Who carries out each query's intervention, as its runs name it
LONGEST = 300  # Characters of an unreadable reply that are shown
SEED = 0  # Seed of the bootstrap: fixed, so that an interval is a property of the run file


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
        kinds = self.task.headline_kinds
        every = enumerate(self.scored)
        return [row for row, one in every if kinds is None or one.query.kind in kinds]

    @property
    def headline(self) -> list[Replied]:
        """The queries that headline numbers are computed over."""
        return [self.scored[row] for row in self.kept]

    def result(self) -> dict[str, Any]:
        """Score it: a JSON object with counts, metrics, intervals and what to compare them with.

        `overall` is over the headline, null if the run has none; `by_kind` is over all; `by_layers`
        and `by_margin` over the headline, where queries have these; `by_distance` tells features
        near to the training split's from others. Each holds `n`, `n_groups`, `scored`, `unparsed`,
        `missing` and `metrics`: name to `{"value", "interval_95", "n", "n_groups"}`, null where
        there is none.
        """
        run, task, suite = self.run, self.task, self.suite
        scored, kept, table = self.scored, self.kept, make_table(self.scored)
        every = range(len(scored))
        footer, header = run.footer or {}, run.header
        bare = suite.describes and not suite.has_windows  # ratings are all there is
        right = {one.query.id: is_right(one) for one in self.headline if isinstance(one, Scored)}
        return {
            "schema": SCHEMA,
            "metric_version": METRIC_VERSION,
            "prompt_version": PROMPT_VERSION,
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
            "counts": {"queries": len(scored), **_counts(scored)},
            "unread": _unread(scored, task),
            "labels_reproduced": self._reproduced(),
            "overall": self._result(table, kept) if kept else None,
            "by_kind": {} if bare else self._by(table, every, lambda one: one.query.kind),
            "by_layers": self._by(table, kept, lambda one: layers_of(one.query)),
            "by_margin": self._by(table, kept, margin_of),
            "by_distance": self._by(table, every, distance_of),
            "descriptions": describe_result(_described(scored), seed=SEED),
            "confidence": confidence_result(run.rows, right),
            "reference": None if header.partial else self._reference(),
            "cost": footer.get("cost"),
            "claimed": footer.get("claimed", {}),
        }

    def _by(
        self, table: Table, rows: Iterable[int], key: Callable[[Replied], str]
    ) -> dict[str, dict[str, Any]]:
        """Score apart what `key` tells apart, in the order of the keys; without a key, nowhere."""
        parts: dict[str, list[int]] = {}
        for row in rows:
            parts.setdefault(key(self.scored[row]), []).append(row)
        return {name: self._result(table, parts[name]) for name in sorted(parts) if name}

    def _result(self, table: Table, rows: Sequence[int]) -> dict[str, Any]:
        """Score some rows of the table of all."""
        part = take(table, rows)
        size = {"n": part.n, "n_groups": part.n_groups}
        found = estimates(part, self.task.metrics, seed=SEED)
        metrics = {name: estimate | size for name, estimate in found.items()}
        return {**size, **_counts(self.scored[row] for row in rows), "metrics": metrics}

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
    graded = grade_descriptions if suite.describes else grade
    return Graded(run=run, task=task, suite=suite, scored=graded(run, task, suite))


def score_run(run: Run, task: Task, suite: Suite) -> dict[str, Any]:
    """Return `Graded.result` of a run."""
    return grade_run(run, task, suite).result()


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
    groups = np.unique([s.query.group for s in scored], return_inverse=True)[1]
    return ScoreTable(
        exact=np.array([all(pair) for pair in right], dtype=np.bool_),
        content=np.array([content for _, content in right], dtype=np.bool_),
        true_changed=np.array([s.truth.changed for s in scored], dtype=np.bool_),
        pred_changed=np.array(verdicts, dtype=np.int8),
        kind=np.array([s.query.kind for s in scored], dtype=np.str_),
        group=groups.astype(np.int64),
    )


def make_table(scored: Sequence[Replied]) -> Table:
    """Return graded queries of one task, at least one, as columns for its metrics."""
    causal = [one for one in scored if isinstance(one, Scored)]
    return score_table(causal) if causal else description_table(_described(scored))


def _described(scored: Iterable[Replied]) -> list[Described]:
    return [one for one in scored if isinstance(one, Described)]


def _counts(scored: Iterable[Replied]) -> dict[str, int]:
    counts = Counter(one.status for one in scored)
    return {status: counts[status] for status in ("scored", "unparsed", "missing")}


def _unread(replies: Sequence[Replied], task: Task) -> dict[str, Any] | None:
    """Return one reply that cannot be read and the form expected, if that is so of most of them."""
    answered = [one for one in replies if one.raw is not None]
    failed = [one for one in answered if one.answer is None]
    if 2 * len(failed) <= len(answered):
        return None
    # an empty reply shows nothing of the explainer's form
    one = next((one for one in failed if (one.raw or "").strip()), failed[0])
    return {
        "unparsed": len(failed),
        "answered": len(answered),
        "id": one.query.id,
        "reply": (one.raw or "")[:LONGEST],
        "expected": task.form,
    }
