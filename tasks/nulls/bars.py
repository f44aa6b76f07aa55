"""What null models may score on a suite that is frozen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...benchmark.scoring.scale import CALCULATOR
from .null import RUNS_TARGET, WORDS

PATCHING, ABLATIONS = "activation-patching", "input-ablations"
GUESSED = "coin"
"""The null of class `runs-target` that sees no vector: its contents are those that can be guessed
without one."""
PATCHING_WORDS = 0.10  # largest balanced exact match of a null of class `words`
PATCHING_TARGET = 0.20  # the same of class `runs-target`, or else `ABOVE_COIN` above a coin
ABOVE_COIN = 0.03
"""How much more than 0.5 sqrt(p) it may be, p the share of changed contents that are guessed."""
ABLATIONS_WORDS = 0.15  # largest mean over kinds of a null of class `words`
AUROC = (0.40, 0.60)  # allowed AUROC of a regression for the verdict
WHICH = 0.35  # largest accuracy on `which`

CALCULATED = 0.995  # least headline of the calculator, in batches of another size

Rows = Sequence[Mapping[str, Any]]


def missed_bars(task: str, rows: Rows) -> list[str]:
    """Return one sentence for each bar that the nulls of a split break."""
    if task in (PATCHING, ABLATIONS) and not rows:
        return ["no null model could be measured"]
    if task == PATCHING:
        return [*_patching(rows), *_calculator(rows, "balanced_exact_match")]
    if task == ABLATIONS:
        return [*_ablations(rows), *_calculator(rows, "kind_mean")]
    return []


def share_guessed(rows: Rows) -> float:
    """Return the share of changed contents guessed without the vector, the clean answer known.

    The coin of class `runs-target` has every clean answer right and says `changed` to a share of
    the queries, so its balanced exact match on changed queries over that share is this one.
    """
    coin = next(r for r in rows if r["name"] == GUESSED and r["access"] == RUNS_TARGET)["metrics"]
    unchanged = coin["exact_match_unchanged"]
    return float(coin["exact_match_changed"] / (1 - unchanged)) if unchanged < 1 else 0.0


def _patching(rows: Rows) -> Iterator[str]:
    p = share_guessed(rows)
    allowed = max(PATCHING_TARGET, 0.5 * math.sqrt(p) + ABOVE_COIN)
    for row in rows:
        limit = {WORDS: PATCHING_WORDS, RUNS_TARGET: allowed}.get(row["access"])
        yield from _above(row, "balanced_exact_match", limit)


def _ablations(rows: Rows) -> Iterator[str]:
    for row in rows:
        if row["access"] != WORDS:
            continue
        yield from _above(row, "kind_mean", ABLATIONS_WORDS)
        yield from _above(row, "which_accuracy", WHICH)
        for kind in ("hint", "context"):
            value = row["metrics"].get(f"{kind}_verdict_auroc")
            if value is not None and not AUROC[0] <= value <= AUROC[1]:
                yield (
                    f"{kind} verdict AUROC of the null {row['name']!r} is {value:.3f}, "
                    f"allowed {AUROC[0]:.2f} to {AUROC[1]:.2f}"
                )


def _calculator(rows: Rows, metric: str) -> Iterator[str]:
    value = next((r["metrics"][metric] for r in rows if r["name"] == CALCULATOR), None)
    if value is None:
        yield f"{metric} of the {CALCULATOR} has no value"
    elif value < CALCULATED:
        yield f"{metric} of the {CALCULATOR} is {value:.4f}, required {CALCULATED}"


def _above(row: Mapping[str, Any], metric: str, limit: float | None) -> Iterator[str]:
    value = row["metrics"].get(metric)
    if limit is not None and value is None:
        yield f"{metric} of the null {row['name']!r} ({row['access']}) has no value"
    elif limit is not None and value > limit:
        yield (
            f"{metric} of the null {row['name']!r} ({row['access']}) is {value:.3f}, "
            f"allowed {limit:.3f}"
        )
