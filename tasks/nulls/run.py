"""Nulls of a suite: fitted on its train, or on another suite's, measured on other splits.

The strongest rule without words (class `replays`) is here: the source's token is read off the
vector and put into the text. A linear map from vectors to token embeddings is fitted on clean runs
of the training texts, in which every token is known; then the target answers the text with that
token in the patched one's place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...benchmark.metrics.verdicts import normalise_content
from ...benchmark.registry import get_task
from ...benchmark.scoring.scale import CALCULATOR
from ...benchmark.suite.suite import Suite
from ..calculate import calculated_metrics
from .ablations import fit_ablations
from .bars import ABLATIONS
from .columns import Columns, read_columns, texts
from .heads import ranked
from .null import REPLAYS, Null, Rule, Score, fit_null, pairs
from .patching import fit_patching
from .which import Embed

if TYPE_CHECKING:
    from ...benchmark.backends.interventions.calculator import Calculator, Places

TUNED_ON = 250
"""Training groups that the rule is chosen on; the target runs on each of their queries."""

Floats = npt.NDArray[np.float32]
Layers = Sequence[tuple[int, int]]


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


DIGITS = 4  # metrics are stored with so many digits
MEASURED = ("validation", "test")  # splits that nulls are measured on

Row = dict[str, Any]


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
    learnt = _read(train or suite, "train", kinds)
    others = {split: _read(suite, split, kinds) for split in splits}
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


def _read(suite: Suite, split: str, kinds: Sequence[str] | None) -> Columns:
    columns = read_columns(suite, split)
    if kinds is None:
        return columns
    return columns.take(np.isin(columns.kind.astype(str), list(kinds)))
