"""Losses of the same training at several learning rates, as a Markdown table: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...benchmark.export import tables as table
from ...benchmark.export.tables import NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One training."""

    name: str
    """Recipe it followed but for its rate."""
    rate: float
    """Highest learning rate."""
    n_train: int
    """Training queries of all tasks."""
    loss: float
    """Nats a token of right answers to validation queries."""


def rates_table(trials: Sequence[Trial]) -> str:
    """Return one row a recipe and one column a learning rate, the lowest loss of a row in bold."""
    if not trials:
        return "No trainings at several learning rates were given."
    rates = sorted({one.rate for one in trials})
    lines = [table.bar(["recipe", "trained on", *(f"{rate:g}" for rate in rates)])]
    lines.append(table.bar(["---", *["---:"] * (1 + len(rates))]))
    for name in sorted({one.name for one in trials}):
        own = {one.rate: one for one in trials if one.name == name}
        best = min(own.values(), key=lambda one: one.loss)
        cells = [table.escape(table.clean(name)), f"{best.n_train:,}"]
        for rate in rates:
            text = f"{own[rate].loss:.3f}" if rate in own else NOTHING
            cells.append(f"**{text}**" if rate == best.rate else text)
        lines.append(table.bar(cells))
    said = (
        "Loss on validation queries, in nats a token of right answers, of the same training at "
        "several learning rates; single runs, the lowest of a row in bold. Rows are not to be "
        "compared: they answer in other words or tokens."
    )
    return "\n".join([said, "", *lines])
