"""One null model: a score for the verdict and rules for both contents, chosen on train.

Balanced exact match is the root of a product of two shares, one of queries whose output changed and
one of those whose output did not. Each is linear in how often a rule says `changed` where, so the
best rule for a score mixes at most two thresholds (minus and plus infinity among them: a coin that
looks at nothing). Every score meets every content rule that its access class allows; on train, out
of fold, the pair and the mixture with the largest balanced exact match are kept and measured
elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from ...benchmark.records import RUNS_TARGET, WORDS
from .columns import BoolArray, Columns, FloatArray, IntArray, Texts, relation, texts, view
from .heads import Head, commonest, copied, first_other, joined, scores

GRID = 100  # thresholds tried, at quantiles of the score


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """Says `changed` above `low` or above `high`, by a coin."""

    low: float
    high: float
    weight: float  # how often the lower one is used
    value: float  # balanced exact match where it was chosen

    def says_changed(self, score: FloatArray) -> FloatArray:
        """Return the chance of the verdict `changed` for each query, (n,)."""
        return self.weight * (score > self.low) + (1 - self.weight) * (score > self.high)


class Thresholds:
    """Thresholds on one score, to be mixed for any pair of content rules."""

    def __init__(self, score: FloatArray, changed: BoolArray) -> None:
        """Take a score, the larger the likelier a change, and what changed, (n,) each."""
        levels = np.quantile(score, np.linspace(0, 1, GRID), method="lower")
        self._levels = np.unique(np.concatenate([[-np.inf], levels, [np.inf]]))
        above = score[None, :] > self._levels[:, None]
        self._changed = changed
        self._above = above[:, changed].astype(np.float32)  # sums stay below 2 ** 24: exact
        self._below = (~above[:, ~changed]).astype(np.float32)

    def choose(self, right_changed: BoolArray, right_unchanged: BoolArray) -> Mixture:
        """Return the mixture with the largest balanced exact match."""
        hits = _shares(self._above, right_changed[self._changed])
        rest = _shares(self._below, right_unchanged[~self._changed])
        # A product of two linear functions of the weight: a parabola, whose top is inside [0, 1]
        # or at an end.
        a0, b0 = hits[None, :], rest[None, :]
        da, db = hits[:, None] - a0, rest[:, None] - b0
        curve = da * db
        top = np.divide(-(a0 * db + b0 * da), 2 * curve, out=np.ones_like(curve), where=curve < 0)
        weight = np.clip(top, 0.0, 1.0)
        product = (a0 + weight * da) * (b0 + weight * db)
        i, j = np.unravel_index(int(np.argmax(product)), product.shape)
        value, share = float(np.sqrt(product[i, j])), float(weight[i, j])
        low, high = float(self._levels[i]), float(self._levels[j])
        if low > high:
            low, high, share = high, low, 1 - share
        return Mixture(low=low, high=high, weight=share, value=value)


def _shares(said: npt.NDArray[np.float32], right: BoolArray) -> FloatArray:
    return (said @ right.astype(np.float32)).astype(np.float64) / max(len(right), 1)


def expected(
    says_changed: FloatArray,
    right_changed: BoolArray,
    right_unchanged: BoolArray,
    changed: BoolArray,
) -> dict[str, float | None]:
    """Return what a rule with a coin scores on average, None where there is no such query."""
    exact = np.where(changed, says_changed * right_changed, (1 - says_changed) * right_unchanged)
    content = says_changed * right_changed + (1 - says_changed) * right_unchanged
    on_changed, on_unchanged = _mean(exact[changed]), _mean(exact[~changed])
    balanced = None
    if on_changed is not None and on_unchanged is not None:
        balanced = float(np.sqrt(on_changed * on_unchanged))
    return {
        "balanced_exact_match": balanced,
        "exact_match": _mean(exact),
        "exact_match_changed": on_changed,
        "exact_match_unchanged": on_unchanged,
        "content_match_changed": _mean(content[changed]),
        "verdict_accuracy": _mean(np.where(changed, says_changed, 1 - says_changed)),
    }


def _mean(values: FloatArray) -> float | None:
    return float(values.mean()) if len(values) else None


Refit = Callable[[BoolArray], list[FloatArray]]
"""Scores of another label of train by the same head: train out of fold, then the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How likely a change is, for train (out of fold) and the other parts."""

    name: str
    access: str
    values: Sequence[FloatArray]  # Train, then the others
    vector: bool  # whether the null sees the vector, and so may use rules that do
    refit: Refit | None = None
    """The head that made it, or None if it is a number that nothing was fitted for."""


def fitted_score(
    name: str,
    access: str,
    head: Head,
    rows: Sequence[Any],
    changed: BoolArray,
    fold: IntArray,
    *,
    vector: bool,
) -> Score:
    """Score of a head fitted on the rows of train, which are followed by those of the others."""
    refit = partial(scores, head, rows, fold=fold)
    return Score(name=name, access=access, values=refit(changed), vector=vector, refit=refit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Ranked guesses of a content for train (out of fold) and the other parts."""

    name: str  # what it does
    guessed: Sequence[Texts]  # (n, TOP) each
    vector: bool = False  # whether it looks at the vector
    access: str = WORDS  # who can use it


def commonest_rules(
    columns: Sequence[Columns], wanted: Texts, used: BoolArray, fold: IntArray
) -> Iterator[Rule]:
    """The commonest contents of train, and those of the relation."""
    for name, keys in (
        ("commonest", [texts([""] * len(part)) for part in columns]),
        ("commonest of the relation", [relation(part) for part in columns]),
    ):
        yield Rule(name=name, guessed=commonest(keys, wanted, used, fold))


def copied_rule(
    what: str, columns: Sequence[Columns], name: str, wanted: Texts, otherwise: Sequence[Texts]
) -> Rule:
    """Contents of train that stand in a view of the queries, then what another rule guesses."""
    found = copied(wanted, [view(part, name) for part in columns])
    guessed = [joined(a, b) for a, b in zip(found, otherwise, strict=True)]
    return Rule(name=f"copied from the {what}", guessed=guessed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Null:
    """A fitted null and what it scores."""

    name: str
    access: str
    rule: str  # what was chosen on train
    metrics: Mapping[str, Mapping[str, float | None]]  # by split, `train` (out of fold) among them


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What is said after either verdict, and where it is the outcome."""

    rule: str  # names of both rules
    access: str  # who can use it
    vector: bool  # whether it looks at the vector
    right_changed: Sequence[BoolArray]
    """Whether the content given with `changed` is right, train, then the others."""
    right_unchanged: Sequence[BoolArray]  # the same with `unchanged`


def pairs(
    columns: Sequence[Columns], changed: Sequence[Rule], unchanged: Sequence[Rule]
) -> list[Pair]:
    """Pair rules for both contents.

    Who runs the target knows the clean answer, and gives another one with `changed`. Who does not
    guesses it, and may do the same.
    """
    found = []
    for one in changed:
        found.append(_pair(columns, one, None, differs=True))
        if one.access == WORDS:
            for other in unchanged:
                found += [_pair(columns, one, other, differs=differs) for differs in (True, False)]
    return found


def _pair(columns: Sequence[Columns], one: Rule, other: Rule | None, *, differs: bool) -> Pair:
    stays = [part.clean for part in columns]
    if other is not None:
        stays = [rows[:, 0] for rows in other.guessed]
    said = [
        first_other(rows, known) if differs else rows[:, 0]
        for rows, known in zip(one.guessed, stays, strict=True)
    ]
    return Pair(
        rule=f"changed: {one.name}; unchanged: {other.name if other else 'clean answer'}",
        access=WORDS if other is not None else RUNS_TARGET,
        vector=one.vector,
        right_changed=_right(said, columns),
        right_unchanged=_right(stays, columns),
    )


def _right(said: Sequence[Texts], columns: Sequence[Columns]) -> list[BoolArray]:
    return [np.asarray(a == p.outcome, dtype=bool) for a, p in zip(said, columns, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    """A score, a pair of contents, and the mixture that was best for them."""

    scores: Sequence[FloatArray]
    pair: Pair
    mixture: Mixture
    rule: str


def fit_null(score: Score, parts: Mapping[str, Columns], pairs: Sequence[Pair]) -> Null:
    """Choose contents and thresholds for a score on train and measure them on every part."""
    changed = next(iter(parts.values())).changed
    access = WORDS if score.access == WORDS else RUNS_TARGET
    signs = (1.0,) if score.refit else (1.0, -1.0)  # nobody said which way a distance points
    best: _Choice | None = None
    for signed in ([sign * values for values in score.values] for sign in signs):
        thresholds = Thresholds(signed[0], changed)
        for pair in pairs:
            if pair.access != access or (pair.vector and not score.vector):
                continue
            mixture = thresholds.choose(pair.right_changed[0], pair.right_unchanged[0])
            if best is None or mixture.value > best.mixture.value:
                best = _Choice(scores=signed, pair=pair, mixture=mixture, rule=pair.rule)
    assert best is not None
    if score.refit is not None:
        best = _better_verdict(score.refit, changed, best)
    metrics = {}
    for i, (name, part) in enumerate(parts.items()):
        said = best.mixture.says_changed(best.scores[i])
        right = best.pair.right_changed[i], best.pair.right_unchanged[i]
        metrics[name] = {
            **expected(said, *right, part.changed),
            "verdict_auroc": auroc(part.changed, score.values[i]),
        }
    return Null(name=score.name, access=score.access, rule=best.rule, metrics=metrics)


def _better_verdict(refit: Refit, changed: BoolArray, best: _Choice) -> _Choice:
    """Try the odds that `changed` is wholly right against those that `unchanged` is."""
    right_changed, right_unchanged = best.pair.right_changed[0], best.pair.right_unchanged[0]
    wins, stays = refit(changed & right_changed), refit(~changed & right_unchanged)
    odds = [a - b for a, b in zip(wins, stays, strict=True)]
    mixture = Thresholds(odds[0], changed).choose(right_changed, right_unchanged)
    if mixture.value <= best.mixture.value:
        return best
    rule = f"{best.rule}; verdict where the content is likely right"
    return _Choice(scores=odds, pair=best.pair, mixture=mixture, rule=rule)


def auroc(changed: BoolArray, score: FloatArray) -> float | None:
    """AUROC of a score for the verdict, None if there is one class only."""
    if changed.all() or not changed.any():
        return None
    return float(roc_auc_score(changed, score))
