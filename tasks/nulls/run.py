"""Nulls of a suite: fitted on its train, or on another suite's, measured on other splits.

The strongest rule without words (class `replays`) is here: the source's token is read off the
vector and put into the text. A linear map from vectors to token embeddings is fitted on clean runs
of the training texts, in which every token is known; then the target answers the text with that
token in the patched one's place.

Also what null models may score on a suite that is frozen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...benchmark.metrics.verdicts import normalise_content
from ...benchmark.records import REPLAYS, RUNS_TARGET, WORDS
from ...benchmark.registry import get_task
from ...benchmark.scoring.scale import CALCULATOR
from ...benchmark.suite.suite import Suite
from ..calculate import calculated_metrics
from .ablations import Embed, fit_ablations
from .columns import Columns, read_columns, texts
from .heads import ranked
from .null import Null, Rule, Score, fit_null, pairs
from .patching import fit_patching

if TYPE_CHECKING:
    from ...benchmark.backends.interventions.calculator import Calculator, Places

TUNED_ON = 250
"""Training groups that the rule is chosen on; the target runs on each of their queries."""

DIGITS = 4  # metrics are stored with so many digits
MEASURED = ("validation", "test")  # splits that nulls are measured on

Row = dict[str, Any]

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


def places(columns: Columns) -> tuple[list[str], list[int], list[tuple[int, int]]]:
    """Return text, position and layers of each query."""
    layers = [(int(f["layers"][0]), int(f["layers"][1])) for f in columns.fields]
    return [*columns.text], [int(f["position"]) for f in columns.fields], layers


def fit_replays(train: Columns, others: Mapping[str, Columns], target: Places) -> Null:
    """Fit the map on train, choose the rule on a part of it, and measure it elsewhere."""
    shown, _, layers = places(train)
    read = target.token_lens(sorted(set(shown)), sorted(set(layers)))
    parts = {"train": train.take(train.group < TUNED_ON), **others}
    answers = []
    for part in parts.values():
        assert part.vector is not None
        where = places(part)
        tokens = read(part.vector, where[2])
        said = target.answers_with_tokens(where[0], where[1], tokens)
        answers.append(texts([normalise_content(x) for x in said]))
    differs = [
        np.asarray(own != part.clean, dtype=np.float64)
        for own, part in zip(answers, parts.values(), strict=True)
    ]
    score = Score(
        name="source's token read off and put into the text",
        access=REPLAYS,
        values=differs,
        vector=True,
    )
    rule = Rule(name="the target's answer", guessed=[ranked([[x] for x in a]) for a in answers])
    return fit_null(score, parts, pairs([*parts.values()], [rule], []))


def suite_nulls(
    suite: Suite,
    *,
    splits: Sequence[str] = MEASURED,
    train: Suite | None = None,
    target: Places | None = None,
    embed: Embed | None = None,
    calculator: Calculator | None = None,
) -> dict[str, list[Row]]:
    """Return what every null scores: by split, rows of `name`, `access`, `rule`, `metrics`.

    Raises IntegrityError: a file is not what the manifest says.
    """
    kinds = get_task(suite.task).headline_kinds
    learnt = read_columns(train or suite, "train", kinds)
    others = {split: read_columns(suite, split, kinds) for split in splits}
    found = fit_nulls(suite.task, learnt, others, target, embed)
    if calculator is not None:
        found.append(_calculated(calculator, suite, splits))
    return {split: rows_of(found, split) for split in splits}


def fit_nulls(
    task: str,
    train: Columns,
    others: Mapping[str, Columns],
    target: Places | None = None,
    embed: Embed | None = None,
) -> list[Null]:
    """Fit every null of a causal task."""
    if task == ABLATIONS:
        return fit_ablations(train, others, embed)
    if target is not None:
        train = with_originals(train, target)
        others = {name: with_originals(part, target) for name, part in others.items()}
    found = fit_patching(train, others)
    if target is not None:
        found.append(fit_replays(train, others, target))
    return found


def _calculated(calculator: Calculator, suite: Suite, splits: Sequence[str]) -> Null:
    task = get_task(suite.task)
    return Null(
        name=CALCULATOR,
        access=REPLAYS,
        rule=f"carries the intervention out, {calculator.batch_size} rows a batch",
        metrics={split: calculated_metrics(calculator, task, suite, split) for split in splits},
    )


def with_originals(columns: Columns, target: Places) -> Columns:
    """Return the columns with what stood at each query's place in the clean run."""
    return replace(columns, original=target.unpatched(*places(columns)))


def rows_of(nulls: Sequence[Null], split: str) -> list[Row]:
    """Return nulls as a manifest holds them."""
    return [
        {
            "name": null.name,
            "access": null.access,
            "rule": null.rule,
            "metrics": {
                name: None if value is None else round(value, DIGITS)
                for name, value in null.metrics[split].items()
            },
        }
        for null in nulls
    ]


def missed_bars(task: str, rows: Sequence[Row]) -> list[str]:
    """Return one sentence for each bar that the nulls of a split break."""
    if task in (PATCHING, ABLATIONS) and not rows:
        return ["no null model could be measured"]
    if task == PATCHING:
        return [*_patching(rows), *_calculator(rows, "balanced_exact_match")]
    if task == ABLATIONS:
        return [*_ablations(rows), *_calculator(rows, "kind_mean")]
    return []


def share_guessed(rows: Sequence[Row]) -> float:
    """Return the share of changed contents guessed without the vector, the clean answer known.

    The coin of class `runs-target` has every clean answer right and says `changed` to a share of
    the queries, so its balanced exact match on changed queries over that share is this one.
    """
    coin = next(r for r in rows if r["name"] == GUESSED and r["access"] == RUNS_TARGET)["metrics"]
    unchanged = coin["exact_match_unchanged"]
    return float(coin["exact_match_changed"] / (1 - unchanged)) if unchanged < 1 else 0.0


def _patching(rows: Sequence[Row]) -> Iterator[str]:
    p = share_guessed(rows)
    allowed = max(PATCHING_TARGET, 0.5 * math.sqrt(p) + ABOVE_COIN)
    for row in rows:
        limit = {WORDS: PATCHING_WORDS, RUNS_TARGET: allowed}.get(row["access"])
        yield from _above(row, "balanced_exact_match", limit)


def _ablations(rows: Sequence[Row]) -> Iterator[str]:
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


def _calculator(rows: Sequence[Row], metric: str) -> Iterator[str]:
    value = next((r["metrics"][metric] for r in rows if r["name"] == CALCULATOR), None)
    if value is None:
        yield f"{metric} of the {CALCULATOR} has no value"
    elif value < CALCULATED:
        yield f"{metric} of the {CALCULATOR} is {value:.4f}, required {CALCULATED}"


def _above(row: Row, metric: str, limit: float | None) -> Iterator[str]:
    value = row["metrics"].get(metric)
    if limit is not None and value is None:
        yield f"{metric} of the null {row['name']!r} ({row['access']}) has no value"
    elif limit is not None and value > limit:
        yield (
            f"{metric} of the null {row['name']!r} ({row['access']}) is {value:.3f}, "
            f"allowed {limit:.3f}"
        )
