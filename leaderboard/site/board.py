"""Everything the page shows, as plain frozen records: no files, no models, no computing.

A *board* holds one table a suite; a suite's table has a *row* for each entry and a *column* for
each task. Its JSON form (`board.json`, described in `page/board.md`) holds unrounded numbers and is
what two builds are compared by. Text in a row may come from a stranger: nothing here escapes it,
whoever shows it must.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ...benchmark.errors import IntegrityError
from ...benchmark.records import UNDECLARED

SCHEMA = "introspect-bench/board/1"

Kind = Literal["trained", "untrained", "baseline", "oracle"]
"""What an explainer is; an oracle is told something a contestant is not and is never ranked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that are not finite, and half an interval."""
        for number in (self.value, self.low, self.high):
            if number is not None and not math.isfinite(number):
                raise IntegrityError(f"a board holds finite numbers only, found {number!r}")
        if (self.low is None) != (self.high is None):
            raise IntegrityError("an interval has two ends")

    @classmethod
    def of(cls, value: float, interval: Sequence[float] | None) -> Estimate:
        """Return a number with its interval as a pair, or None."""
        low, high = interval or (None, None)
        return cls(value=value, low=low, high=high)


def estimate_of(metric: Mapping[str, Any]) -> Estimate | None:
    """Return a metric of a result (`value`, `interval_95`); None where it has no value."""
    value = metric["value"]
    return None if value is None else Estimate.of(value, metric["interval_95"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Layered:
    """A headline score over the queries of one layer or block of layers."""

    first: int  # first layer, from 0
    last: int  # last layer, included; equal to `first` for a single layer
    score: Estimate  # the headline metric over these queries


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskScore:
    """An entry's result on one task, computed from its raw replies."""

    headline: Estimate | None  # the metric that ranks; None where it has no value
    metrics: Mapping[str, Estimate | None]  # by name; None where it does not exist
    n: int  # queries that count, over which `metrics` are
    n_groups: int  # contrast groups among them: what the bootstrap draws
    unparsed: int  # how many of `n` had a reply without a readable answer
    missing: int  # how many of `n` had no reply
    by_layers: tuple[Layered, ...]  # first layer first; empty where queries have none
    run_sha256: str  # hash of the run file's header and rows (its footer's `body_sha256`)
    access: str = UNDECLARED  # how the answers were come by, one of `records.ACCESS`


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One entry of a suite."""

    id: str  # name of the entry's folder
    org: str
    name: str  # display name
    kind: Kind
    access: str = UNDECLARED  # the widest class of its runs: it is ranked among these
    access_basis: str = ""  # who says so: the benchmark, or the submitter and maybe a re-run
    unranked: str = ""  # why its access class does not rank it; empty if it does
    scores: Mapping[str, TaskScore]  # results by task; a task it did not answer is not there
    rank: tuple[int, int] | None = None  # best and worst, from 1; None if it is not ranked
    ties: tuple[str, ...] = ()  # letters shared with entries it is not told apart from
    overall: Estimate | None = None  # mean of `rescaled` over the tasks that count
    # By task: the headline on the scale from floor (0) to ceiling (1), never clipped.
    rescaled: Mapping[str, float] = field(default_factory=dict)
    tier: int = 1  # how far it is confirmed, 1 to 4: see `ledger.TIERS`
    tier_note: str = ""  # one sentence from the ledger on its tier
    labels: tuple[str, ...] = ()  # marks such as `copy of ORG/NAME`
    withdrawn: bool = False  # whether it was withdrawn; it stays, greyed out and unranked
    uses_vectors: bool = True  # whether it was given the queries' vectors
    vector_gain: Estimate | None = None  # its overall minus that of its control without vectors
    seconds_per_query: float | None = None  # wall-clock mean, as its run files say
    tokens_per_query: float | None = None  # read and written, mean, as its run files say
    parameters: int | None = None  # declared number of parameters
    n_train: int | None = None  # declared number of training queries; 0 for untrained models
    base: str | None = None  # name of the target model it was made from, if it is one
    date: str = ""
    authors: tuple[str, ...] = ()
    # By title; an address that does not begin with https:// is shown as text.
    links: Mapping[str, str] = field(default_factory=dict)
    licence: str = ""
    trained_on: tuple[str, ...] = ()  # what it says it was trained on
    bibtex: str = ""
    notes: str = ""  # free text, shown as plain text
    # By title: weights, attempts, package version.
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def no_answer(self) -> float | None:
        """Share of queries without a readable answer, over all its tasks; None without queries."""
        n = sum(score.n for score in self.scores.values())
        return sum(s.unparsed + s.missing for s in self.scores.values()) / n if n else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A task of a suite: what its numbers mean and how far they go."""

    task: str
    version: str  # version of the task
    title: str  # the task as a column's head
    summary: str  # one sentence: what is asked
    metric: str
    n: int
    n_groups: int
    floor: float | None  # what the best null model reaches that only reads the query
    ceiling: float | None  # what a calculator reaches
    data_sha256: str
    left_out: str = ""  # why the task is not part of the overall, as a sentence; empty if it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """What vectors are worth to an entry: its score minus that of its control without them."""

    entry: str
    control: str
    task: str
    metric: str
    difference: Estimate
    p: float  # two-sided, swapping whole groups, corrected over all controls of the board (Holm)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One cell of the privileged-access matrix: an explainer asked about a target."""

    row: str
    target: str
    entry: str  # id of the entry the score is from
    score: Estimate  # the headline metric
    is_self: bool  # whether the explainer was made from the target itself
    to_self: Estimate | None = None  # minus its equal among self-explainers, if it has one
    equal: str = ""  # id of that equal's entry
    p: float | None = None  # of that difference: two-sided, paired, corrected over all of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Explainers of one access class against targets on one task."""

    task: str
    access: str  # the class of all its runs
    title: str  # the task, for people
    metric: str
    rows: tuple[str, ...]
    targets: tuple[str, ...]
    cells: tuple[Access, ...]  # what was measured; a pair that was not measured is not there


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteBoard:
    """One suite's table."""

    name: str
    target: str
    split: str  # split that is answered
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]  # by access class, each by rank; then what no class ranks, oracles last
    no_overall: str = ""  # why there is no overall, as a sentence; empty if there is one
    worth: tuple[Worth, ...] = ()  # of every entry with a control


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """All that a page shows, but for the queries themselves."""

    package: str  # version of the package that scored
    metric_version: str  # version of the metrics
    prompt_version: str = ""  # version of the prompts
    suites: tuple[SuiteBoard, ...]
    matrices: tuple[Matrix, ...] = ()  # the privileged-access matrix, one a task

    def as_json(self) -> dict[str, Any]:
        """Return the board as a JSON object with its schema; numbers are not rounded."""
        return {"schema": SCHEMA, **dataclasses.asdict(self)}
