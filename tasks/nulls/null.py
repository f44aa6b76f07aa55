"""One null model: a score for the verdict and rules for both contents, chosen on train.

Every score meets every content rule that its access class allows; on train, out of fold, the pair
and the mixture of thresholds with the largest balanced exact match are kept, and that one rule is
measured elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from sklearn.metrics import roc_auc_score

from introspect_bench.tasks.nulls.columns import BoolArray, Columns, FloatArray, Texts
from introspect_bench.tasks.nulls.heads import first_other
from introspect_bench.tasks.nulls.verdicts import Mixture, choose_mixture, expected

WORDS, RUNS_TARGET, REPLAYS = "words", "runs-target", "replays"
"""Access classes, `benchmark.records.ACCESS`."""

Refit = Callable[[BoolArray], list[FloatArray]]
"""Scores of another label of train by the same head: train out of fold, then the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How likely a change is, for train (out of fold) and the other parts."""

    name: str
    """Name of the null."""
    access: str
    """Access class."""
    values: Sequence[FloatArray]
    """Train, then the others."""
    vector: bool
    """Whether the null sees the vector, and so may use rules that do."""
    refit: Refit | None = None
    """The head that made it, or None if it is a number that nothing was fitted for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Ranked guesses of a content for train (out of fold) and the other parts."""

    name: str
    """What it does."""
    guessed: Sequence[Texts]
    """(n, TOP) each."""
    vector: bool = False
    """Whether it looks at the vector."""
    access: str = WORDS
    """Who can use it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Null:
    """A fitted null and what it scores."""

    name: str
    """Name."""
    access: str
    """Access class."""
    rule: str
    """What was chosen on train."""
    metrics: Mapping[str, Mapping[str, float | None]]
    """By split, `train` (out of fold) among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    """A score, two content rules, and the mixture that was best for them."""

    scores: Sequence[FloatArray]
    right_changed: Sequence[BoolArray]
    right_unchanged: Sequence[BoolArray]
    mixture: Mixture
    rule: str


def fit_null(
    score: Score,
    parts: Mapping[str, Columns],
    changed: Sequence[Rule],
    unchanged: Sequence[Rule],
) -> Null:
    """Choose rules and thresholds for a score on train and measure them on every part.

    Args:
        score: the score.
        parts: `train`, then others, in the order of all values.
        changed: rules for the content after a change.
        unchanged: rules for the clean answer; who runs the target needs none.
    """
    columns = [*parts.values()]
    knows = score.access != WORDS
    seen = [rule for rule in changed if (score.vector or not rule.vector)]
    seen = [rule for rule in seen if knows or rule.access == WORDS]
    best: _Choice | None = None
    for one, other in product(seen, [None] if knows else unchanged):
        for choice in _choices(score, columns, one, other):
            if best is None or choice.mixture.value > best.mixture.value:
                best = choice
    assert best is not None
    if score.refit is not None:
        best = _better_verdict(score.refit, columns, best)
    return Null(
        name=score.name,
        access=score.access,
        rule=best.rule,
        metrics={
            name: {
                **expected(best.mixture.says_changed(values), right, stays, part.changed),
                "verdict_auroc": auroc(part.changed, own),
            }
            for name, part, values, right, stays, own in zip(
                parts,
                columns,
                best.scores,
                best.right_changed,
                best.right_unchanged,
                score.values,
                strict=True,
            )
        },
    )


def _choices(
    score: Score, columns: Sequence[Columns], one: Rule, other: Rule | None
) -> list[_Choice]:
    """Pair two content rules; the changed content may be kept from being the clean answer."""
    clean = [part.clean for part in columns]
    stays = clean if other is None else [rows[:, 0] for rows in other.guessed]
    found = []
    for differs in (True,) if other is None else (True, False):
        said = [
            first_other(rows, known) if differs else rows[:, 0]
            for rows, known in zip(one.guessed, stays, strict=True)
        ]
        right = [np.asarray(a == p.outcome, dtype=bool) for a, p in zip(said, columns, strict=True)]
        kept = [np.asarray(a == p.outcome, dtype=bool) for a, p in zip(stays, columns, strict=True)]
        for sign in (1.0,) if score.refit else (1.0, -1.0):
            scores = [sign * values for values in score.values]
            mixture = choose_mixture(scores[0], right[0], kept[0], columns[0].changed)
            rule = f"changed: {one.name}; unchanged: {other.name if other else 'clean answer'}"
            found.append(
                _Choice(
                    scores=scores,
                    right_changed=right,
                    right_unchanged=kept,
                    mixture=mixture,
                    rule=rule,
                )
            )
    return found


def _better_verdict(refit: Refit, columns: Sequence[Columns], best: _Choice) -> _Choice:
    """Try the odds that `changed` is wholly right against those that `unchanged` is."""
    changed = columns[0].changed
    wins = refit(changed & best.right_changed[0])
    stays = refit(~changed & best.right_unchanged[0])
    scores = [a - b for a, b in zip(wins, stays, strict=True)]
    mixture = choose_mixture(scores[0], best.right_changed[0], best.right_unchanged[0], changed)
    if mixture.value <= best.mixture.value:
        return best
    return _Choice(
        scores=scores,
        right_changed=best.right_changed,
        right_unchanged=best.right_unchanged,
        mixture=mixture,
        rule=f"{best.rule}; verdict where the content is likely right",
    )


def auroc(changed: BoolArray, score: FloatArray) -> float | None:
    """AUROC of a score for the verdict, None if there is one class only."""
    if changed.all() or not changed.any():
        return None
    return float(roc_auc_score(changed, score))
