"""Explainers trained more than once by one recipe, as from other seeds: how far they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import NamedTuple

from scipy.stats import ttest_ind

from ...benchmark import files
from ...benchmark.export import tables as table
from ...benchmark.export.tables import shown, title
from ...benchmark.metrics.paired import adjust
from ...benchmark.scoring.compare import recipe
from ...benchmark.task import Task
from ..site.contrasts import twin_of
from ..site.figures import difference, told_apart
from ..site.rows import Collected, ScoredEntry, made_from
from ..submissions.copies import OWN_ORG

SAID = (
    "Explainers of one organisation whose run files say the same recipe and other weights; what "
    "else differs, such as the seed, is in their entries. Other tables show the first of each "
    "recipe, by name and not by score; here are all. Differences are between means over "
    "trainings, with Welch's 95 % interval and p over trainings: what other trainings would "
    "give on these queries; p is corrected over this table."
)


class Trainings(NamedTuple):
    """The trainings of one recipe that were asked about one task, two or more."""

    task: str
    names: tuple[str, ...]  # of the explainers, in order
    values: Mapping[str, tuple[float, ...]]  # by metric, in the order of names


def trainings_of(collected: Sequence[Collected]) -> list[Trainings]:
    """Return the recipes that were trained more than once, task by task."""
    found: list[Trainings] = []
    for one in collected:
        tasks = {task.name: task for task, _ in one.tasks}
        same: dict[str, list[ScoredEntry]] = {}
        for entry in sorted(one.entries, key=lambda entry: entry.name):
            if entry.entry.fields.kind == "trained" and entry.ranked and not entry.shuffled:
                same.setdefault(_recipe(entry, one, tasks), []).append(entry)
        for entries in same.values():
            # neither the same weights twice nor one name submitted anew is a second training
            weights, names = {_weights(one) for one in entries}, {one.name for one in entries}
            if len(weights) == len(names) == len(entries) > 1:
                asked = (task for name, task in tasks.items() if name in entries[0].runs)
                found += [_trainings(task, entries) for task in asked]
    return found


def _recipe(entry: ScoredEntry, collected: Collected, tasks: Mapping[str, Task]) -> str:
    headers = {name: run.header for name, run in sorted(entry.runs.items())}
    recipes = {
        name: [header.explainer.no_vector, recipe(header, tasks[name])]
        for name, header in headers.items()
    }
    who = [entry.entry.fields.org, made_from(entry, collected), twin_of(entry)]
    return files.canonical_json([who, recipes])


def _weights(entry: ScoredEntry) -> str:
    return files.canonical_json([one.weights_sha256 for one in entry.explainers])


def _trainings(task: Task, entries: Sequence[ScoredEntry]) -> Trainings:
    metrics = [entry.runs[task.name].result["overall"]["metrics"] for entry in entries]
    values = {name: [one[name]["value"] for one in metrics] for name in task.metrics}
    return Trainings(
        task.name,
        tuple(entry.name for entry in entries),
        {name: tuple(own) for name, own in values.items() if None not in own},
    )


def later_of(found: Sequence[Trainings]) -> set[str]:
    """Return the names of all trainings but the first of each recipe."""
    return {name for one in found for name in one.names[1:]}


def trainings_table(found: Sequence[Trainings], pairs: Sequence[tuple[str, str]]) -> str:
    """Return scores by training, and differences between recipes some of whose trainings pair."""
    scores = [_scores(found, task) for task in dict.fromkeys(one.task for one in found)]
    gaps = [
        (one, other, metric)
        for one in found
        for other in found
        if one.task == other.task and any(a in one.names and b in other.names for a, b in pairs)
        for metric in one.values
        if metric in other.values
    ]
    return "\n\n".join([SAID, *scores, *_gaps(gaps)])


def _scores(found: Sequence[Trainings], task: str) -> str:
    """Return a task's recipes with mean, standard deviation and each training, metric by metric."""
    own = [one for one in found if one.task == task]
    metrics = list(dict.fromkeys(metric for one in own for metric in one.values))
    rows = [
        [short_name(one.names[0]), *(_spread(one, metric) for metric in metrics)] for one in own
    ]
    return "\n".join(table.lines_of([task, *map(title, metrics)], rows))


def _spread(one: Trainings, metric: str) -> str:
    if (own := one.values.get(metric)) is None:
        return table.NOTHING
    mean, deviation, *each = (shown(metric, v) for v in (fmean(own), stdev(own), *own))
    return f"{mean} ± {deviation} ({', '.join(each)})"


def _gaps(gaps: Sequence[tuple[Trainings, Trainings, str]]) -> list[str]:
    """Return a table of differences between means over trainings."""
    values = [(one.values[metric], other.values[metric]) for one, other, metric in gaps]
    # trainings all alike give no variance to test against
    tests = [
        ttest_ind(*both, equal_var=False) if any(map(stdev, both)) else None for both in values
    ]
    ps = adjust([1.0 if test is None else float(test.pvalue) for test in tests], "holm")
    rows = []
    for (one, other, metric), (first, second), test, p in zip(gaps, values, tests, ps, strict=True):
        value = fmean(first) - fmean(second)
        ends = [] if test is None else map(float, test.confidence_interval(0.95))
        text = difference(metric, value, ends)
        names = [
            short_name(one.names[0]),
            short_name(other.names[0]),
            f"{len(first)} and {len(second)} trainings",
        ]
        rows.append([one.task, title(metric), *names, text, *told_apart(value, p)])
    head = ["task", "metric", "explainer", "minus", "of", "difference", "p (Holm)", "told apart"]
    return ["\n".join(table.lines_of(head, rows, names=5))] if rows else []


def short_name(name: str) -> str:
    """Return an explainer's name, escaped; our own without the organisation."""
    return table.escape(table.clean(name.removeprefix(f"{OWN_ORG}/")))
