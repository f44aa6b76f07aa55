"""What the trained explainers show, as one Markdown page, strangers' names escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...benchmark.cache import Progress, silent
from ...benchmark.export import tables as table
from ...benchmark.export.tables import NOTHING, title
from ...benchmark.files import write_bytes_atomic
from ...benchmark.metrics.bootstrap import PARTS, PartDifference
from ...benchmark.metrics.verdicts import of_part
from ..site.build import collect
from ..site.contrasts import (
    Contrast,
    beaten_by_selves,
    contrasts,
    controls,
    corrected,
)
from ..site.figures import LEVEL, difference, told_apart
from ..site.matrix import against_self, contestants_of
from .studies import Cell, Trial, cells_of, injection_tables, rates_table, trials_of
from .trainings import Trainings, later_of, short_name, trainings_of, trainings_table


def contrast_table(
    rows: Sequence[Contrast], said: str, nothing: str, *, because: bool = True
) -> str:
    """Return a sentence and a table of differences, or what to say if there are none."""
    if not rows:
        return nothing
    head = ["task", "metric", "explainer", "minus", *(["because"] if because else [])]
    lines = [said, "", table.bar([*head, "difference", "p (Holm)", "told apart"])]
    lines.append(table.bar(["---"] * len(head) + ["---:"] * 2 + ["---"]))
    for row in rows:
        cells = [row.task, title(row.metric), *map(short_name, (row.first, row.second)), row.why]
        cells = [*cells[: len(head)], _text(row.metric, row)]
        lines.append(table.bar([*cells, *told_apart(row.value, row.p)]))
    return "\n".join(lines)


def _minus(row: Contrast) -> str:
    return f"{short_name(row.first)} minus {short_name(row.second)}"


def _text(metric: str, found: Contrast | PartDifference | None) -> str:
    if found is None or found.value is None:
        return NOTHING
    return difference(metric, found.value, found.interval_95 or ())


def parts_of(rows: Sequence[Contrast], results: Sequence[Mapping[str, Any]]) -> str:
    """Return differences, or else scores, by layers and by kind, one table a task."""
    if not results:
        return "There is no trained explainer yet."
    blocks = [
        "Differences from above on parts of the queries, scores where there is none. Parts are "
        "small and many: intervals are wider, and no test was made."
    ]
    for task in sorted({row["task"] for row in results}):
        own = [row for row in rows if row.task == task]
        scored = [row for row in results if row["task"] == task]
        for heading in PARTS:
            blocks.append(_differences(own, heading) or _scores(scored, heading))
    return "\n\n".join(block for block in blocks if block)


def _differences(rows: Sequence[Contrast], heading: str) -> str:
    rows = [row for row in rows if heading in row.parts]
    if not rows:
        return ""
    names = sorted({name for row in rows for name in row.parts[heading]})
    metric = _titles(rows[0].metric, heading, names)
    sizes = [
        _sized(name, {r.parts[heading][name].n for r in rows if name in r.parts[heading]})
        for name in names
    ]
    head = [f"{rows[0].task}, {metric}, difference by {heading}", "because", *sizes]
    lines = []
    for row in rows:
        cells = [_text(row.metric, row.parts[heading].get(name)) for name in names]
        lines.append([_minus(row), row.why, *cells])
    return "\n".join(table.lines_of(head, lines, names=2))


def _scores(rows: Sequence[Mapping[str, Any]], heading: str) -> str:
    part = f"by_{heading}"
    names = sorted({name for row in rows for name in row[part]})
    if not names:
        return ""
    head = [f"{rows[0]['task']}, {_titles(rows[0]['headline'], heading, names)} by {heading}"]
    for name in names:
        head.append(_sized(name, {row[part][name]["n"] for row in rows if name in row[part]}))
    labels = table.distinct([table.label(row["explainer"]) for row in rows], rows)
    lines = []
    for row, label in zip(rows, labels, strict=True):
        metrics = [_metric(row["headline"], heading, name) for name in names]
        cells = [
            table.cell(metric, row[part][name]["metrics"][metric]) if name in row[part] else NOTHING
            for name, metric in zip(names, metrics, strict=True)
        ]
        lines.append([table.escape(label), *cells])
    return "\n".join(table.lines_of(head, lines))


def _sized(name: str, sizes: Iterable[int]) -> str:
    return f"{name} (n = {' or '.join(map(str, sorted(sizes)))})"


def _metric(headline: str, heading: str, name: str) -> str:
    return of_part(headline, [name]) if heading == "kind" else headline


def _titles(headline: str, heading: str, names: Sequence[str]) -> str:
    metrics = dict.fromkeys(_metric(headline, heading, name) for name in names)
    return " or ".join(title(metric) for metric in metrics)


HEADLINES = ("balanced_exact_match", "kind_mean")
"""Metrics of ours that stand beside the paper's exact match."""
PAPER = (
    (
        "no vectors",
        "activation-patching",
        "vector removed, explainer trained again (Table 5)",
        "64.0 to 59.9 (Qwen3-8B), 48.6 to 45.2 (Llama-3.1-8B): +4.1, +3.4 for the vector",
    ),
    (
        "another model",
        "activation-patching",
        "self minus another model (Table 2)",
        "+9.9 (Qwen3-8B), +6.9 (Llama-3.1-8B)",
    ),
    (
        "another model",
        "input-ablations",
        "self minus another model (Table 2)",
        "+25.3 (Qwen3-8B), +7.1 (Llama-3.1-8B-Instruct)",
    ),
)
"""Figures of arXiv:2511.08579, points of exact match: why the second of our contrasts that stand
beside one is different, the nearest task of ours, what was compared, and what was published.
Transcribed at second hand; check before citing."""
USE = (
    "Each explainer minus its control, paired on the same queries: the same recipe without "
    "vectors, or the same weights given another query's vector. All metrics: what a vector "
    "is worth may lie in the content and not in the verdict. A control that could give but "
    "one verdict, as one that is compared with itself, is set against nobody's verdicts."
)
ACCESS = (
    "Each self-explainer minus its equals: explainers of the same target and access class "
    "with the same decoding, prompt form, number of training queries and recipe, paired on the "
    "same queries. A rotated twin computes the same function in other coordinates. p is corrected "
    "over all of them, later trainings too."
)
BEATEN = (
    "Each self-explainer minus every baseline of its access class that can give more than "
    "one verdict, paired on the same queries."
)
"""What is said of each section."""


def report(
    results: Sequence[Mapping[str, Any]],
    use: Sequence[Contrast],
    access: Sequence[Contrast],
    beaten: Sequence[Contrast],
    *,
    trained: Sequence[Mapping[str, Any]],
    trainings: Sequence[Trainings] = (),
    study: Sequence[Cell] = (),
    rates: Sequence[Trial] = (),
) -> str:
    """Return the page, ending in a line feed.

    `use` are explainers with vectors minus their controls, `access` self-explainers minus each of
    their equals, `beaten` self-explainers minus each baseline of their class; `trained` those of
    `results` whose parts by layer and kind are shown, `trainings` recipes that were trained more
    than once, of whom only the first stands in other tables, `study` explainers that differ in how
    vectors enter, `rates` trainings that differ in their learning rate.
    """
    pairs = [(row.first, row.second) for row in (*use, *access)]
    use, access, beaten = (_without(rows, later_of(trainings)) for rows in (use, access, beaten))
    parts = [
        "# Results",
        "Written by `introspect-bench board report` from the run files in `submissions/`; "
        "change nothing here by hand.",
        "## Scores",
        table.markdown(results).strip(),
        "## What the vectors are worth",
        contrast_table(use, USE, "No entry names a control yet."),
        "## Privileged access",
        contrast_table(access, ACCESS, "There is no self-explainer and no equal of it yet."),
        *(["## Several trainings", trainings_table(trainings, pairs)] if trainings else []),
        "## Against baselines",
        contrast_table(beaten, BEATEN, "There is no such pair yet.", because=False),
        "## By layers and kinds",
        parts_of([*use, *access], trained),
        *(["## How vectors enter", injection_tables(study)] if study else []),
        *(["## Learning rates", rates_table(rates)] if rates else []),
        "## Beside the paper",
        _beside(use, access),
    ]
    return "\n\n".join(parts) + "\n"


def _without(rows: Sequence[Contrast], names: set[str]) -> list[Contrast]:
    return [row for row in rows if not {row.first, row.second} & names]


def _beside(use: Sequence[Contrast], access: Sequence[Contrast]) -> str:
    head = ["compared", "arXiv:2511.08579, points of exact match", "here", "replicates"]
    rows = []
    # neither are vectors shuffled at test alone a training without them, nor a twin a model
    for why, task, what, published in PAPER:
        beside = []
        for row in (*use, *access):
            if (row.why, row.task) == (why, task) and row.metric in HEADLINES:
                found = "yes" if row.value > 0 else "no: the opposite"
                replicates = found if row.p < LEVEL else "not shown: not told apart"
                here = f"{_minus(row)} ({row.why}) {_text(row.metric, row)}"
                beside.append([here, replicates])
        rows += [[f"{task}: {what}", published, *own] for own in beside or [[NOTHING, NOTHING]]]
    said = (
        "All of the paper's differences are above 0: one replicates if ours is and the two are "
        "told apart. The paper's numbers are transcribed at second hand; targets, metrics (here "
        "exact match balanced between changed and unchanged), queries and sizes differ, so only "
        "signs and orders of magnitude compare."
    )
    return "\n".join([*table.lines_of(head, rows, names=4), "", said])


def board_report(
    submissions: Path | str = "submissions",
    output: Path | str | None = None,
    *,
    study: Path | str | None = None,
    rates: Path | str | None = None,
    suite: str | None = None,
    use_cache: bool = True,
    progress: Progress = silent,
) -> str:
    """Write what submissions show as a Markdown page; the same submissions give the same bytes.

    `study` holds run files of explainers that differ in how vectors enter, of any split; `rates`
    records of trainings that differ in their learning rate.
    """
    collected = collect(Path(submissions), suite=suite, use_cache=use_cache, progress=progress)
    trainings, asked = trainings_of(collected), contestants_of(collected)
    later = later_of(trainings)
    use, beaten, results, trained = [], [], [], []
    for one in collected:
        use += contrasts(one, controls(one), use_cache=use_cache)
        beaten += contrasts(one, beaten_by_selves(one), use_cache=use_cache)
        for entry in one.entries:
            if entry.ledger.withdrawn or entry.name in later:
                continue
            note = ", not ranked" if entry.access.unranked else ""
            classes = entry.access.by_task
            own = [
                {**run.result, "access": classes[task] + note} for task, run in entry.runs.items()
            ]
            results += own
            trained += own if entry.entry.fields.kind == "trained" else []
    page = report(
        results,
        corrected(use),
        [row for one in against_self(asked, use_cache=use_cache) for row in one.rows],
        corrected(beaten),
        trained=trained,
        trainings=trainings,
        study=cells_of(study, suite),
        rates=trials_of(rates),
    )
    if output is not None:
        write_bytes_atomic(Path(output), page.encode())
    return page
