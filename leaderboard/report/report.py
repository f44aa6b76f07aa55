"""What the trained explainers show, as one Markdown page, strangers' names escaped. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...benchmark.export import tables as table
from ...benchmark.export.tables import NOTHING
from .contrasts import LEVEL, Contrast, contrast_table, difference_text, minus, parts_of
from .studies import Cell, Trial, injection_tables, rates_table


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


USE = (
    "Each explainer minus its control, paired on the same queries: the same recipe without "
    "vectors, or the same weights given another query's vector. All metrics: what a vector "
    "is worth may lie in the content and not in the verdict. A control that could give but "
    "one verdict, as one that is compared with itself, is set against nobody's verdicts."
)
ACCESS = (
    "Each self-explainer minus its equals: explainers of the same target and access class "
    "with the same decoding, number of training queries and recipe, paired on the same "
    "queries. A rotated twin computes the same function in other coordinates."
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
    study: Sequence[Cell] = (),
    rates: Sequence[Trial] = (),
) -> str:
    """Return the page, ending in a line feed.

    `use` are explainers with vectors minus their controls, `access` self-explainers minus each of
    their equals, `beaten` self-explainers minus each baseline of their class; `trained` those of
    `results` whose parts by layer and kind are shown, `study` explainers that differ in how vectors
    enter, `rates` trainings that differ in their learning rate.
    """
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
        "## Against baselines",
        contrast_table(
            beaten, BEATEN, "There is no pair of a trained self-explainer and a baseline yet."
        ),
        "## By layers and kinds",
        parts_of([*use, *access], trained),
        "## How vectors enter",
        injection_tables(study),
        "## Learning rates",
        rates_table(rates),
        "## Beside the paper",
        _beside(use, access),
    ]
    return "\n\n".join(parts) + "\n"


def _beside(use: Sequence[Contrast], access: Sequence[Contrast]) -> str:
    head = ["compared", "arXiv:2511.08579, points of exact match", "here", "replicates"]
    rows = []
    for paper in PAPER:
        # neither are vectors shuffled at test alone a training without them, nor a twin a model
        why, ours = ("no vectors", use) if paper.section == "use" else ("another model", access)
        beside = [
            [f"{minus(c)} ({c.why}) {difference_text(c)}", _replicates(c)]
            for c in ours
            if (c.why, c.task) == (why, paper.task) and c.metric in HEADLINES
        ]
        asked = f"{paper.task}: {paper.what}"
        rows += [[asked, paper.said, *cells] for cells in beside or [[NOTHING, NOTHING]]]
    said = (
        "All of the paper's differences are above 0: one replicates if ours is and the two are "
        "told apart. The paper's numbers are transcribed at second hand; targets, metrics (here "
        "exact match balanced between changed and unchanged), queries and sizes differ, so only "
        "signs and orders of magnitude compare."
    )
    return "\n".join([*table.lines_of(head, rows, names=4), "", said])


def _replicates(row: Contrast) -> str:
    """Whether a difference is above 0, as all that it stands beside are, by its corrected p."""
    if row.p >= LEVEL:
        return "not shown: not told apart"
    return "yes" if row.value > 0 else "no: the opposite"
