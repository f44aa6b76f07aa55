"""What the trained explainers show, as one Markdown page: pure, the same text every time.

Owns its sections and their words: scores, what vectors are worth, self against others, the
injection study, learning rates, and the same beside the paper's numbers. Every name is a stranger's
text and is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...benchmark.export import tables as table
from ...benchmark.export.tables import NOTHING
from ...benchmark.export.titles import title
from .contrasts import LEVEL, Contrast, contrast_table, difference_text, parts_of
from .rates import Trial, rates_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One explainer of the injection study."""

    result: Mapping[str, Any]
    """What `score` returned of its run."""
    injection: Mapping[str, Any] | None
    """How vectors entered, as its run file says; None for no vectors."""
    n_train: int | None
    """Training queries of the task."""
    validation_loss: float | None = None
    """Nats a token of right answers to validation queries, as its run file says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """A published number to stand beside: arXiv:2511.08579, points of exact match."""

    what: str
    """What was compared."""
    task: str
    """Task of ours that comes nearest."""
    said: str
    """The published figures."""
    section: str
    """`use` or `access`: which of our contrasts stands beside it."""


HEADLINES = ("balanced_exact_match", "kind_mean")
"""Metrics of ours that stand beside the paper's exact match."""
PAPER = (
    Paper(
        what="vector removed, explainer trained again (Table 5)",
        task="activation-patching",
        said="64.0 to 59.9 (Qwen3-8B), 48.6 to 45.2 (Llama-3.1-8B): +4.1, +3.4 for the vector",
        section="use",
    ),
    Paper(
        what="self minus another model (Table 2)",
        task="activation-patching",
        said="+9.9 (Qwen3-8B), +6.9 (Llama-3.1-8B)",
        section="access",
    ),
    Paper(
        what="self minus another model (Table 2)",
        task="input-ablations",
        said="+25.3 (Qwen3-8B), +7.1 (Llama-3.1-8B-Instruct)",
        section="access",
    ),
)
"""What is compared with. Transcribed at second hand; check before citing."""


def report(
    results: Sequence[Mapping[str, Any]],
    use: Sequence[Contrast],
    access: Sequence[Contrast],
    beaten: Sequence[Contrast],
    *,
    trained: Sequence[Mapping[str, Any]],
    study: Sequence[Cell] = (),
    rates: Sequence[Trial] = (),
) -> str:
    """Return the page, ending in a line feed.

    Args:
        results: what `score` returned of every run.
        use: explainers with vectors minus their controls without or with shuffled ones.
        access: self-explainers minus each of their equals.
        beaten: self-explainers minus each baseline of their access class.
        trained: those of `results` that are trained explainers', for the parts by layer and kind.
        study: explainers that differ in how vectors enter.
        rates: trainings that differ in their learning rate.

    Raises:
        IntegrityError: a value is not a finite number.
    """
    parts = [
        "# Results",
        "Written by `introspect-bench board report` from the run files in `submissions/`; "
        "change nothing here by hand.",
        "## Scores",
        table.markdown(results).strip(),
        "## What the vectors are worth",
        contrast_table(
            use,
            "Each explainer minus its control, paired on the same queries: the same recipe without "
            "vectors, or the same weights given another query's vector. All metrics: what a vector "
            "is worth may lie in the content and not in the verdict. A control that could give but "
            "one verdict, as one that is compared with itself, is set against nobody's verdicts.",
            "No entry names a control yet.",
        ),
        "## Privileged access",
        contrast_table(
            access,
            "Each self-explainer minus its equals: explainers of the same target and access class "
            "with the same decoding, number of training queries and recipe, paired on the same "
            "queries. A rotated twin computes the same function in other coordinates.",
            "There is no self-explainer and no equal of it yet.",
        ),
        "## Against baselines",
        contrast_table(
            beaten,
            "Each self-explainer minus every baseline of its access class that can give more than "
            "one verdict, paired on the same queries.",
            "There is no pair of a trained self-explainer and a baseline yet.",
        ),
        "## By layers and kinds",
        parts_of([*use, *access], trained),
        "## How vectors enter",
        _study(study),
        "## Learning rates",
        rates_table(rates),
        "## Beside the paper",
        _beside(use, access),
    ]
    return "\n\n".join(parts) + "\n"


def _study(cells: Sequence[Cell]) -> str:
    """One table a task and split, the best first."""
    if not cells:
        return "No runs of an injection study were given."
    blocks = [
        "Explainers that were trained alike on a part of the training split and differ in where "
        "vectors enter, at what length and in how many tokens; single runs, best first. The loss, "
        "in nats a token of right answers to validation queries, is no score: with `replay` the "
        "answer is worded differently and says the output twice, so its loss stands for itself."
    ]
    for task, split in sorted({(one.result["task"], one.result["split"]) for one in cells}):
        own = [one for one in cells if (one.result["task"], one.result["split"]) == (task, split)]
        metrics = own[0].result["metrics"]
        head = [f"{task}, {split}: enters at", "length", "tokens", "trained on", "loss"]
        lines = [table.bar([*head, *(title(metric) for metric in metrics)])]
        lines.append(table.bar(["---"] * 2 + ["---:"] * (3 + len(metrics))))
        lines += [_cell(one) for one in sorted(own, key=_best_first)]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _best_first(cell: Cell) -> tuple[float, str]:
    found = cell.result["overall"]["metrics"][cell.result["headline"]]["value"]
    return (float("inf") if found is None else -found), str(cell.result["explainer"]["name"])


def _cell(cell: Cell) -> str:
    way = cell.injection or {"mode": "nowhere (no vectors)", "scaling": NOTHING, "slots": NOTHING}
    where = str(way["mode"]) if way.get("layer") is None else f"{way['mode']} {way['layer']}"
    found = cell.result["overall"]["metrics"]
    texts = [where, str(way["scaling"]), str(way.get("slots", 1)), str(cell.n_train or NOTHING)]
    texts.append(NOTHING if cell.validation_loss is None else f"{cell.validation_loss:.3f}")
    scores = [table.cell(metric, found[metric]) for metric in cell.result["metrics"]]
    return table.bar([*(table.escape(table.clean(text)) for text in texts), *scores])


def _beside(use: Sequence[Contrast], access: Sequence[Contrast]) -> str:
    head = ["compared", "arXiv:2511.08579, points of exact match", "here", "replicates"]
    lines = [table.bar(head), table.bar(["---"] * 4)]
    for one in PAPER:
        # neither are vectors shuffled at test alone a training without them, nor a twin a model
        why, rows = ("no vectors", use) if one.section == "use" else ("another model", access)
        ours = [c for c in rows if (c.why, c.task) == (why, one.task) and c.metric in HEADLINES]
        asked = f"{one.task}: {one.what}"
        for c in ours:
            names = [table.escape(table.clean(name)) for name in (c.first, c.second)]
            here = f"{names[0]} minus {names[1]} ({c.why}) {difference_text(c)}"
            lines.append(table.bar([asked, one.said, here, _replicates(c)]))
        if not ours:
            lines.append(table.bar([asked, one.said, NOTHING, NOTHING]))
    lines += [
        "",
        "All of the paper's differences are above 0: one replicates if ours is and the two are "
        "told apart. The paper's numbers are transcribed at second hand; targets, metrics (here "
        "exact match balanced between changed and unchanged), queries and sizes differ, so only "
        "signs and orders of magnitude compare.",
    ]
    return "\n".join(lines)


def _replicates(row: Contrast) -> str:
    """Whether a difference is above 0, as all that it stands beside are, by its corrected p."""
    if row.p >= LEVEL:
        return "not shown: not told apart"
    return "yes" if row.value > 0 else "no: the opposite"
