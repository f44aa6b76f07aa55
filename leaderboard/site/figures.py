"""How numbers look: text, interval bars, heat levels, and a sentence for all that is shown. Pure.

Shares are in per cent with one decimal, correlations and the like have three.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ...benchmark.export import tables as table
from ...benchmark.export.tables import NOTHING, NUMBERS, title
from ...benchmark.records import ORACLE, REPLAYS, RUNS_TARGET, UNDECLARED, WORDS
from .board import Estimate, Kind, Row, SuiteBoard, Worth

VERDICT = "verdict_accuracy"
LEVEL = 0.05  # corrected p below which two are told apart
OVERALL = "overall"  # name under which the overall is shown
HELP: Mapping[str, str] = {
    OVERALL: (
        "Mean over the suite's tasks of the headline score, put on a scale from the floor (0: the "
        "best null model that only reads) to the ceiling (100: a calculator); nothing is clipped."
    ),
    "exact_match": "Share of queries whose verdict (changed or unchanged) and content are right.",
    "content_match": "Share of queries whose content is right, whatever the verdict.",
    "balanced_exact_match": (
        "Geometric mean of the exact match on queries whose truth is changed and on those whose "
        "truth is unchanged: always one verdict is 0."
    ),
    "exact_match_changed": "Exact match on queries whose truth is changed.",
    "exact_match_unchanged": "Exact match on queries whose truth is unchanged.",
    "content_match_changed": "Right contents on queries whose truth is changed.",
    "which_accuracy": "Right parts on queries that ask which of four parts matters; a guess is 25.",
    "kind_mean": (
        "Mean of the balanced exact match on hints, of that on contexts, and of the accuracy on "
        "which, rescaled from a guess (0) to all (100)."
    ),
    "has_changed_macro_f1": "Mean F1 of the verdicts changed and unchanged, weighing the same.",
    "verdict_accuracy": "Share of queries with the right verdict, whatever the content.",
    "group_consistency": "Share of contrast groups in which every query is exactly right.",
    "matched_auroc": (
        "2 AUROC - 1 of tokens on which the feature is strong against equal tokens on which it is "
        "silent: 0 is reading no more than the token, or nothing; the mean over features."
    ),
    "weighted_r": (
        "Correlation of the activations that the description predicts with the true ones, over "
        "random text, weighted as it was sampled; the mean over features."
    ),
}
KIND_HELP: Mapping[Kind, str] = {
    "trained": "An explainer that learnt from training queries.",
    "untrained": "A model asked as it is.",
    "baseline": "A reference to beat, which ships with the benchmark.",
    "oracle": "Is told something that no contestant has: a reference, never ranked.",
}
ACCESS_HELP: Mapping[str, str] = {
    WORDS: "Reads the query, its text and its vector, and answers.",
    RUNS_TARGET: "Takes the unmodified target's output on the shown text, or on siblings' texts.",
    REPLAYS: "Executes the query's intervention, in whole or part.",
    ORACLE: "Is told what no contestant has.",
    UNDECLARED: "Somebody's own code, which does not say how it comes by its answers.",
}
ABOUT_ACCESS = (
    "How answers were come by. The benchmark sets it, from where vectors enter and how replies are "
    "chosen; of their own code submitters declare it, and such code is ranked among words only "
    "after a re-run in a process that holds no weights of the target. Each run has a class; an "
    "entry stands in the widest of its runs' (words, runs-target, replays), and ranks, letters, "
    "overall and privileged access compare within a class."
)
"""What the page says of access classes."""
HEAD_HELP: Mapping[str, str] = {
    "Rank": (
        "Ranks this entry may have at 95 % among entries of its access class, by the overall, from "
        "one paired bootstrap over contrast groups; "
        "entries that share a letter are not told apart, and one that lacks a task has no rank."
    ),
    "Explainer": "Who answered, and what kind of explainer it is.",
    "Tier": "How far the entry is confirmed beyond scores computed from its raw replies.",
    "No answer": "Queries without a readable answer, in per cent; each counts as wrong.",
    "Vectors": (
        "Whether the queries' vectors were given; a number is the overall with them minus that "
        "without."
    ),
    "Cost": "Mean number of tokens read and written for a query, as the run files say.",
    "Time": ("Mean wall-clock seconds for a query on the submitter's machine, as run files say."),
    "Size": "Number of parameters, as declared.",
    "Date": "Day of the submission.",
    "Overall": HELP[OVERALL],
}
"""A sentence for each column that is no task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """From a quantity to a place: the range that the bars of a column, or a chart's axis, share."""

    low: float
    high: float
    start: float = 0.0  # place of `low`
    end: float = 100.0
    log: bool = False  # whether equal ratios are equally far
    marks: tuple[float, ...] = ()  # values drawn on every bar: floor and ceiling

    def at(self, value: float) -> float:
        """Return the place of a value, to a tenth."""
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        place = self.start + (self.end - self.start) * (value - low) / (high - low)
        return round(place, 1) + 0.0


def explain(metric: str) -> str:
    """Return the sentence that explains a metric."""
    return HELP.get(metric, title(metric))


def shown(metric: str, value: float) -> str:
    """Return a value of a metric as text."""
    return table.shown(metric, value).replace("-", "\N{MINUS SIGN}")


def signed(metric: str, value: float) -> str:
    """Return a difference as text, with its sign."""
    text = shown(metric, value)
    return f"+{text}" if value > 0 and float(text) else text  # what rounds to 0 has no sign


def told_apart(difference: float, p: float) -> tuple[str, str]:
    """Return a corrected p as text, and whether it tells two apart."""
    verdict = "no" if p >= LEVEL else f"yes, {'higher' if difference > 0 else 'lower'}"
    return "< 0.001" if p < 0.001 else f"{p:.3f}", verdict


def difference(metric: str, value: float, ends: Iterable[float]) -> str:
    """Return a difference with its interval, if it has one, as text: `+12.9 [+9.3, +16.6]`."""
    said = ", ".join(signed(metric, end) for end in ends)
    return signed(metric, value) + (f" [{said}]" if said else "")


def interval(metric: str, estimate: Estimate | None) -> str:
    """Return an interval as text, empty if there is none."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    return f"[{shown(metric, estimate.low)}, {shown(metric, estimate.high)}]"


def short(value: float | None, unit: str = "") -> str:
    """Return a quantity with two significant figures and a letter: `1.7B`, `0.012`, `350`."""
    if value is None:
        return NOTHING
    for factor, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor * 0.9995:
            scaled = value / factor
            return f"{scaled:{'.0f' if scaled >= 99.5 else '.2g'}}{letter}{unit}"
    if value == 0 or abs(value) >= 9.95:
        return f"{value:.0f}{unit}"
    return f"{value:.1g}{unit}" if abs(value) < 0.001 else f"{value:.2g}{unit}"


def duration(seconds: float | None) -> str:
    """Return a time with two significant figures: `0.4 s`, `3.2 ms`, `12 µs`."""
    if seconds is None or seconds >= 0.0995:
        return short(seconds, "" if seconds is None else " s")
    factor, unit = (1e3, " ms") if seconds >= 1e-3 else (1e6, " µs")
    return short(seconds * factor, unit)


def axis_of(estimates: Iterable[Estimate], marks: Iterable[float | None], top: float) -> Axis:
    """Return the axis of a column: it holds 0, `top`, every mark and every interval."""
    known = tuple(mark for mark in marks if mark is not None)
    values = [0.0, top, *known]
    for one in estimates:
        values += [one.value if end is None else end for end in (one.low, one.high)] + [one.value]
    return Axis(low=min(values), high=max(values), marks=known)


def bar(estimate: Estimate, axis: Axis) -> Mapping[str, str]:
    """Return the paths of an interval bar in a box of 100 x 10: track, interval, value, marks."""
    point = axis.at(estimate.value)
    paths = {"value": f"M{point:g} 1V9", "interval": "", "marks": ""}
    if estimate.low is not None and estimate.high is not None:
        paths["interval"] = f"M{axis.at(estimate.low):g} 5H{axis.at(estimate.high):g}"
    if axis.marks:
        paths["marks"] = "".join(f"M{axis.at(mark):g} 2V8" for mark in axis.marks)
    return paths


def heat(value: float, low: float, high: float) -> int:
    """Return the level, 0 to 10, of a value between two ends."""
    if high <= low:
        return 0
    return max(0, min(10, round(10 * (value - low) / (high - low))))


def readers(suite: SuiteBoard) -> list[Row]:
    """Return the rows that are ranked among those of class words, in the board's order."""
    return [
        row for row in suite.rows if row.access == WORDS and not (row.unranked or row.withdrawn)
    ]


def answer(suite: SuiteBoard) -> str:
    """Say in a sentence what vectors are worth to the best trained explainer of class words."""
    own: dict[str, list[Worth]] = {}
    for one in suite.worth:
        own.setdefault(one.entry, []).append(one)
    best = next((row for row in readers(suite) if row.kind == "trained" and row.id in own), None)
    if best is None:
        return (
            f"On {suite.target} no trained explainer that only reads has a control without "
            "vectors: whether it is the vector that tells it anything is open."
        )
    asked = {
        (column.task, metric) for column in suite.columns for metric in (column.metric, VERDICT)
    }
    found = [one for one in own[best.id] if (one.task, one.metric) in asked]
    titles = {column.task: column.title.lower() for column in suite.columns}
    told = [
        f"{_difference(one)} on {titles[one.task]} ({_p(one.p)}, corrected)"
        for one in found
        if one.p < LEVEL
    ]
    alike = [f"{_difference(one)} on {titles[one.task]}" for one in found if one.p >= LEVEL]
    name = f"{best.org}/{best.name}"
    if not told:
        return (
            f"{name}, the best trained explainer that only reads, is not told apart from its "
            f"control without vectors: {', '.join(alike)}."
        )
    rest = f"; not told apart: {', '.join(alike)}" if alike else ""
    return (
        f"Being given the vector is worth {' and '.join(told)} to {name}, the best trained "
        f"explainer that only reads, over the same recipe without vectors{rest}."
    )


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def _difference(one: Worth) -> str:
    """Such as `+12.9 [+9.3, +16.6] points of balanced exact match`."""
    metric, found = one.metric, one.difference
    ends = (end for end in (found.low, found.high) if end is not None)
    unit = "" if metric in NUMBERS else " points of"
    return f"{difference(metric, found.value, ends)}{unit} {title(metric)}"
