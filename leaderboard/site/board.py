"""Everything the page shows, as plain frozen records: no files, no models, no computing.

A *board* holds one table a suite; a suite's table has a *row* for each entry and a *column* for
each task. Its JSON form (`board.json`) holds unrounded numbers and is what two builds are compared
by. Text in a row may come from a stranger: nothing here escapes it, whoever shows it must.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ...benchmark.errors import IntegrityError
from ...benchmark.records import UNDECLARED

SCHEMA = "introspect-bench/board/1"
"""Value of `schema` in `board.json`."""

Kind = Literal["trained", "untrained", "baseline", "oracle"]
"""What an explainer is; an oracle is told something a contestant is not and is never ranked."""
KINDS: tuple[Kind, ...] = ("trained", "untrained", "baseline", "oracle")
"""Every kind, in the order they are listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    """The number, unrounded."""
    low: float | None = None
    """Lower end, or None if there is no interval."""
    high: float | None = None
    """Upper end, or None if there is no interval."""

    def __post_init__(self) -> None:
        """Refuse numbers that are not finite, and half an interval."""
        for number in (self.value, self.low, self.high):
            if number is not None and not math.isfinite(number):
                raise IntegrityError(f"a board holds finite numbers only, found {number!r}")
        if (self.low is None) != (self.high is None):
            raise IntegrityError("an interval has two ends")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layered:
    """A headline score over the queries of one layer or block of layers."""

    first: int
    """First layer, from 0."""
    last: int
    """Last layer, included; equal to `first` for a single layer."""
    score: Estimate
    """The headline metric over these queries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskScore:
    """An entry's result on one task, computed from its raw replies."""

    headline: Estimate | None
    """The metric that ranks; None where it has no value."""
    metrics: Mapping[str, Estimate | None]
    """Every metric of the task by name; None where it does not exist."""
    n: int
    """Queries that count, over which `metrics` are."""
    n_groups: int
    """Contrast groups among them: what the bootstrap draws."""
    unparsed: int
    """How many of `n` had a reply without a readable answer."""
    missing: int
    """How many of `n` had no reply."""
    by_layers: tuple[Layered, ...]
    """The headline by layer, first layer first; empty where queries have none."""
    run_sha256: str
    """Hash of the run file's header and rows (its footer's `body_sha256`)."""
    access: str = UNDECLARED
    """How the answers were come by, one of `records.ACCESS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One entry of a suite."""

    id: str
    """Name of the entry's folder."""
    org: str
    """Who submitted it."""
    name: str
    """Display name."""
    kind: Kind
    """What it is."""
    access: str = UNDECLARED
    """The widest access class of its runs, one of `records.ACCESS`: it is ranked among these."""
    access_basis: str = ""
    """Who says so: the benchmark, or the submitter, and whether a re-run confirmed it."""
    unranked: str = ""
    """Why its access class does not rank it; empty if it does."""
    scores: Mapping[str, TaskScore]
    """Results by task; a task it did not answer is not there."""
    rank: tuple[int, int] | None = None
    """Best and worst rank that resampling leaves possible, from 1, among entries of its access
    class; None if it is not ranked."""
    ties: tuple[str, ...] = ()
    """Letters shared with entries it is not told apart from."""
    overall: Estimate | None = None
    """Mean over the tasks that count of the rescaled score, or None if a task is lacking."""
    rescaled: Mapping[str, float] = field(default_factory=dict)
    """By task: the headline on the scale from floor (0) to ceiling (1), never clipped."""
    tier: int = 1
    """How far it is confirmed, 1 to 4: see `ledger.TIERS`."""
    tier_note: str = ""
    """One sentence from the ledger on its tier."""
    labels: tuple[str, ...] = ()
    """Marks such as `copy of ORG/NAME`."""
    withdrawn: bool = False
    """Whether it was withdrawn; it stays, greyed out and unranked."""
    uses_vectors: bool = True
    """Whether it was given the queries' vectors."""
    vector_gain: Estimate | None = None
    """Its overall minus that of the same explainer without vectors, on the same queries."""
    seconds_per_query: float | None = None
    """Mean wall-clock seconds a query, as its run files say; None if they do not."""
    tokens_per_query: float | None = None
    """Mean tokens read and written a query, as its run files say; None if they do not."""
    parameters: int | None = None
    """Declared number of parameters."""
    n_train: int | None = None
    """Declared number of training queries; 0 for untrained models."""
    base: str | None = None
    """Name of the target model it was made from, if it is one."""
    date: str = ""
    """Day of its run files, `YYYY-MM-DD`."""
    authors: tuple[str, ...] = ()
    """Who made it."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Title to address; what does not begin with https:// is shown as text."""
    licence: str = ""
    """Licence of the explainer."""
    trained_on: tuple[str, ...] = ()
    """What it says it was trained on."""
    bibtex: str = ""
    """How to cite it."""
    notes: str = ""
    """Free text, shown as plain text."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Further facts, title to text: weights, attempts, package version."""

    @property
    def no_answer(self) -> float | None:
        """Share of queries without a readable answer, over all its tasks; None without queries."""
        n = sum(score.n for score in self.scores.values())
        return sum(s.unparsed + s.missing for s in self.scores.values()) / n if n else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A task of a suite: what its numbers mean and how far they go."""

    task: str
    """Name of the task."""
    version: str
    """Version of the task."""
    title: str
    """The task as a column's head."""
    summary: str
    """One sentence: what is asked."""
    metric: str
    """Name of the headline metric."""
    n: int
    """Queries that count."""
    n_groups: int
    """Contrast groups among them."""
    floor: float | None
    """What the best null model reaches that only reads the query."""
    ceiling: float | None
    """What a calculator reaches."""
    data_sha256: str
    """Hash of the suite's files."""
    left_out: str = ""
    """Why the task is not part of the overall, as a sentence; empty if it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One cell of the privileged-access matrix: an explainer asked about a target."""

    row: str
    """Name of the explainer, the same for all targets."""
    target: str
    """Name of the target model."""
    entry: str
    """Id of the entry the score is from."""
    score: Estimate
    """The headline metric."""
    is_self: bool
    """Whether the explainer was made from the target itself."""
    to_self: Estimate | None = None
    """This score minus that of its equal among self-explainers, on the same queries; None for self,
    or without one."""
    p: float | None = None
    """Two-sided p value of that difference, paired, after correction over all such differences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Explainers of one access class against targets on one task."""

    task: str
    """Name of the task."""
    access: str
    """The class of all its runs."""
    title: str
    """The task, for people."""
    metric: str
    """Name of the headline metric."""
    rows: tuple[str, ...]
    """Explainers, in order."""
    targets: tuple[str, ...]
    """Targets, in order."""
    cells: tuple[Access, ...]
    """What was measured; a pair that was not measured is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteBoard:
    """One suite's table."""

    name: str
    """Name of the suite."""
    target: str
    """Name of its target model."""
    split: str
    """Split that is answered."""
    columns: tuple[Column, ...]
    """Its tasks, in order."""
    rows: tuple[Row, ...]
    """By access class, each by rank; then what no class ranks, oracles last."""
    no_overall: str = ""
    """Why there is no overall, as a sentence; empty if there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """All that a page shows, but for the queries themselves."""

    package: str
    """Version of the package that scored."""
    metric_version: str
    """Version of the metrics."""
    suites: tuple[SuiteBoard, ...]
    """Tables, in order."""
    matrices: tuple[Matrix, ...] = ()
    """The privileged-access matrix, one a task."""

    def as_json(self) -> dict[str, Any]:
        """Return the board as a JSON object with its schema; numbers are not rounded."""
        return {"schema": SCHEMA, **dataclasses.asdict(self)}
